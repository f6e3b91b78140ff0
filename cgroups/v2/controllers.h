// Which controllers a plan needs, and passing them on from the root to the new cgroup's parent.
// Source: cgroup-v2.rst, "Controlling Controllers" and "Top-down Constraint".
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace husk::cgroups::v2 {

// "memory" for "memory.max"; core files ("cgroup.*", "*.pressure") need none.
std::vector<std::string> needed_controllers(const std::vector<ControlFile>& files);

// Enables, for the children of every directory above `path`, the needed controllers and, where
// available, those that statistics read. Errors: unsupported, busy (a parent has processes).
Status enable_controllers(const std::string& mount, const std::string& path, const std::vector<ControlFile>& files);

}  // namespace husk::cgroups::v2
