// Names in layer tars, made harmless: "./a//b/" and "/a/b" are {"a", "b"}; ".." is refused.
// A normalised path joins its components by "/"; "" is the root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "images/unpack_limits.h"

namespace husk::images {

using Components = std::vector<std::string>;

Result<Components> parse_entry_path(std::string_view name, const UnpackLimits& limits);
std::string join_path(const Components& parts);
Components split_path(std::string_view normalised);
// True when `path` is `above` or lies below it.
bool is_within(std::string_view path, std::string_view above);

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";
inline constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";
inline constexpr std::string_view kAufsPrefix = ".wh..wh.";  // AUFS leftovers, without meaning here

}  // namespace husk::images
