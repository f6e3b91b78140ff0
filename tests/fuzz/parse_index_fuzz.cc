// An index that is accepted survives writing.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_image.h"

using namespace husk::oci;

HUSK_FUZZ(text) {
  husk::require(!parse_index(text, media_type::kManifest).has_value(), "a manifest by the registry's word was taken as index");
  const auto index = parse_index(text);
  if (!index.has_value()) return;
  const auto written = write_index(index.value());
  const auto again = parse_index(written);
  husk::require(again.has_value() && write_index(again.value()) == written, "writing twice differs");
}
