// An image configuration that is accepted survives writing.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_image.h"

using namespace husk::oci;

HUSK_FUZZ(text) {
  const auto config = parse_image_config(text);
  if (!config.has_value()) return;
  const auto written = write_image_config(config.value());
  const auto again = parse_image_config(written);
  husk::require(again.has_value() && write_image_config(again.value()) == written, "writing twice differs");
}
