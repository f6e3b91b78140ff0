// linux.cgroupsPath: which directory below the hierarchy root(s) it means.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::cgroups {

// "/husk" holds what callers did not place themselves; it is removed with its last member.
inline constexpr std::string_view kDefaultParent = "/husk";

// "slice:prefix:name", the form that belongs to the systemd driver. Source: runc, docs/systemd.md.
struct SystemdPath {
  std::string slice;
  std::string prefix;
  std::string name;
};
std::optional<SystemdPath> find_systemd_path(std::string_view cgroups_path);

// An absolute path with single slashes and no "." or ".." component; never the root itself.
// Source: config-linux.md#cgroups-path; runc issue 5403 (".." reached a sibling).
Result<std::string> parse_cgroups_path(std::string_view cgroups_path, std::string_view id);

}  // namespace husk::cgroups
