#include "cgroups/path.h"

#include "base/format.h"
#include "base/text.h"

namespace husk::cgroups {
namespace {

constexpr std::string_view kPointer = "/linux/cgroupsPath";
constexpr std::size_t kLongestPath = 3800;  // PATH_MAX minus the mount point and a file name
constexpr std::size_t kLongestName = 255;   // NAME_MAX

Error refuse(std::string_view path, std::string_view why) {
  return Error{Kind::invalid, format_text("{}: cgroup path {} {}", quote(kPointer), quote(path), why)}.hint(
      "give an absolute path like \"/pods/web-1\" below the root of the cgroup hierarchy");
}

}  // namespace

std::optional<SystemdPath> find_systemd_path(std::string_view cgroups_path) {
  const auto parts = split(cgroups_path, ':');
  if (parts.size() != 3 || cgroups_path.find('/') != std::string_view::npos) return std::nullopt;
  return SystemdPath{
      .slice = std::string{parts[0]}, .prefix = std::string{parts[1]}, .name = std::string{parts[2]}};
}

Result<std::string> parse_cgroups_path(std::string_view cgroups_path, std::string_view id) {
  std::string path;
  if (cgroups_path.empty() || cgroups_path.front() != '/') path = kDefaultParent;
  for (const auto part : split(cgroups_path.empty() ? id : cgroups_path, '/')) {
    if (part.empty()) continue;
    if (part == "." || part == "..") return refuse(cgroups_path, "has a \".\" or \"..\" component");
    if (part.size() > kLongestName) return refuse(cgroups_path, "has a component of more than 255 bytes");
    for (const char c : part)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refuse(cgroups_path, "has a control character");
    path += '/';
    path += part;
  }
  if (path.empty() || path == kDefaultParent) return refuse(cgroups_path, "names no cgroup of its own");
  if (path.size() > kLongestPath) return refuse(cgroups_path, "is longer than 3800 bytes");
  return path;
}

}  // namespace husk::cgroups
