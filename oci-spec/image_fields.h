// Private to oci-spec: descriptors and platforms, read and written.
#pragma once

#include <string_view>

#include "oci-spec/fields.h"
#include "oci-spec/image_spec.h"
#include "oci-spec/parse_image.h"
#include "oci-spec/write_parts.h"

namespace husk::oci {

inline constexpr std::size_t kMaxLayers = 4096;     // overlayfs takes 500
inline constexpr std::size_t kMaxManifests = 4096;  // entries of an index

// Bounded and strict: the text comes from a registry.
Result<Json> parse_image_json(std::string_view text);
Result<Digest> read_digest(const JsonReader& object, std::string_view key);
Result<Descriptor> read_descriptor(const JsonReader& json);
Status read_platform(const JsonReader& json, ImagePlatform& into);

Json descriptor_json(const Descriptor& descriptor);
void put_platform(Json& json, const ImagePlatform& platform);

}  // namespace husk::oci
