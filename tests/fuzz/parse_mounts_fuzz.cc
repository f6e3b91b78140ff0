// What `husk mounts` reads: accepted once, accepted and equal after writing.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_config.h"

HUSK_FUZZ(text) {
  const auto value = husk::oci::parse_mounts(text);
  if (!value.has_value()) return;
  const auto written = husk::oci::write_mounts(value.value());
  const auto again = husk::oci::parse_mounts(written);
  husk::require(again.has_value(), "what was written is refused");
  husk::require(husk::oci::write_mounts(again.value()) == written, "writing twice differs");
}
