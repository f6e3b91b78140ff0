#include "images/entry_path.h"

#include "base/format.h"
#include "base/text.h"

namespace husk::images {

Result<Components> parse_entry_path(std::string_view name, const UnpackLimits& limits) {
  Components parts;
  for (const auto part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Error{Kind::invalid, format_text("the name {} holds \"..\"", quote(name))};
    if (part.size() > 255) return Error{Kind::invalid, format_text("the name {} has a part of more than 255 bytes", quote(name))};
    if (part.find('\0') != std::string_view::npos)
      return Error{Kind::invalid, format_text("the name {} holds a NUL byte", quote(name))};
    parts.emplace_back(part);
    if (parts.size() > limits.max_depth)
      return Error{Kind::invalid, format_text("the name {} is more than {} directories deep", quote(name), limits.max_depth)};
  }
  return parts;
}

std::string join_path(const Components& parts) { return join(parts, "/"); }

Components split_path(std::string_view normalised) {
  Components parts;
  if (normalised.empty()) return parts;
  for (const auto part : split(normalised, '/')) parts.emplace_back(part);
  return parts;
}

bool is_within(std::string_view path, std::string_view above) {
  if (above.empty()) return true;
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
}

}  // namespace husk::images
