// Where CRIU can stop all processes of a cgroup at once, and who above a cgroup holds it frozen.
#pragma once

#include <optional>
#include <string>

#include "cgroups/cgroup.h"

namespace husk::cgroups {

// The directory with freezer.state (v1) or cgroup.freeze (v2); nothing where there is none.
std::optional<std::string> find_freezer(const std::string& path, Version version);

// Whether a cgroup above `path` was frozen, by its own file: whoever is below then stands still until it is thawed.
// Errors: wrong_state, with its name.
Status check_parents_thawed(const std::string& path, Version version);
// Whether SIGKILL ends who is in there: the v1 freezer of a cgroup above holds it back until the thaw, that of v2 does not.
// Errors: wrong_state, with the name of the frozen one. Source: cgroup-v2.rst, cgroup.freeze.
Status check_kill_arrives(const std::string& path, Version version);
// The same after the kernel has told that a new cgroup is frozen from its birth: a parent need not be in sight.
Error below_frozen(const std::string& path, Version version);

}  // namespace husk::cgroups
