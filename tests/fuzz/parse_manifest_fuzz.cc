// No text is a manifest and an index at once; what is accepted survives writing.
#include "fuzz/fuzzer.h"
#include "oci-spec/parse_image.h"

using namespace husk::oci;

HUSK_FUZZ(text) {
  const auto manifest = parse_manifest(text);
  const auto as_index = parse_index(text);
  husk::require(!(manifest.has_value() && as_index.has_value()), "manifest and index at once");
  husk::require(!parse_manifest(text, media_type::kIndex).has_value(), "an index by the registry's word was taken as manifest");
  if (!manifest.has_value()) return;
  for (const auto& layer : manifest.value().layers)
    husk::require(layer.digest.hex().find('/') == std::string_view::npos, "a digest with a slash");
  const auto written = write_manifest(manifest.value());
  const auto again = parse_manifest(written);
  husk::require(again.has_value() && write_manifest(again.value()) == written, "writing twice differs");
}
