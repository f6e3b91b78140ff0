// Documents of image-spec and Docker schema 2 ↔ structs. Errors: invalid (with JSON pointer),
// unsupported (schema 1, a digest algorithm we lack). Unknown properties and media types are kept out
// of the way, never errors (image-spec considerations.md#extensibility).
// Read `parse_manifest_or_index` first: it is what a pull calls.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "oci-spec/image_spec.h"

namespace husk::oci {

inline constexpr std::size_t kMaxImageDocument = 4U << 20U;  // manifest, index or config: 4 MiB

// `content_type`: what the registry said ("" = nothing); parameters after ";" are ignored. A text
// that contradicts it, or that could be read as both kinds, is refused: CVE-2021-41190.
Result<std::variant<Manifest, Index>> parse_manifest_or_index(std::string_view text, std::string_view content_type = "");
Result<Manifest> parse_manifest(std::string_view text, std::string_view content_type = "");
Result<Index> parse_index(std::string_view text, std::string_view content_type = "");

Result<ImageConfig> parse_image_config(std::string_view text);
// As many layers as diff_ids (config.md#properties).
Status check_image_pair(const Manifest& manifest, const ImageConfig& config);

// Compact JSON, members in a fixed order: equal input gives equal bytes and so equal digests.
std::string write_manifest(const Manifest& manifest);
std::string write_index(const Index& index);
std::string write_image_config(const ImageConfig& config);

}  // namespace husk::oci
