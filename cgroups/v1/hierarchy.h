// Where the cgroup v1 controllers are mounted: each alone or some together, and some not at all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace husk::cgroups::v1 {

// Stands for the controller-less v2 hierarchy of a hybrid host, which systemd uses to track processes.
inline constexpr std::string_view kUnified = "unified";

struct Hierarchy {
  std::string mount;                     // "/sys/fs/cgroup/cpu,cpuacct"
  std::vector<std::string> controllers;  // {"cpu", "cpuacct"}; {"name=systemd"}; {"unified"}
};

// Pure. Of several mounts of one hierarchy the first below /sys/fs/cgroup counts.
// Source: man 5 proc, mountinfo; man 7 cgroups.
std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo);
// Errors: unsupported when none is mounted.
Result<std::vector<Hierarchy>> read_hierarchies();

// "memory/memory.limit_in_bytes" of the cgroup `path`; "" where nobody has mounted the controller.
std::string place_of(const std::vector<Hierarchy>& all, std::string_view path, std::string_view file);
const Hierarchy* find_hierarchy(const std::vector<Hierarchy>& all, std::string_view controller);

}  // namespace husk::cgroups::v1
