// What `husk` reads from --process files: accepted once, accepted and equal after writing.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_config.h"

HUSK_FUZZ(text) {
  const auto value = husk::oci::parse_process(text);
  if (!value.has_value()) return;
  const auto written = husk::oci::write_process(value.value());
  const auto again = husk::oci::parse_process(written);
  husk::require(again.has_value(), "what was written is refused");
  husk::require(husk::oci::write_process(again.value()) == written, "writing twice differs");
}
