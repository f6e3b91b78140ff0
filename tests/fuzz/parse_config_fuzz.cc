// A config.json that is accepted can be written, is accepted again, and is written the same.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_config.h"

HUSK_FUZZ(text) {
  const auto spec = husk::oci::parse_config(text);
  if (!spec.has_value()) {
    husk::require(!spec.error().to_string().empty(), "an error without text");
    return;
  }
  const auto written = husk::oci::write_config(spec.value());
  const auto again = husk::oci::parse_config(written);
  husk::require(again.has_value(), "what was written is refused");
  husk::require(husk::oci::write_config(again.value()) == written, "writing twice differs");
}
