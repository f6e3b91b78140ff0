// Where CRIU can stop all processes of a cgroup at once.
#pragma once

#include <optional>
#include <string>

#include "cgroups/cgroup.h"

namespace husk::cgroups {

// The directory with freezer.state (v1) or cgroup.freeze (v2); nothing where there is none.
std::optional<std::string> find_freezer(const std::string& path, Version version);

}  // namespace husk::cgroups
