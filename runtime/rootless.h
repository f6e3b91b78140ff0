// Running without the host's rights: as a plain user, or as root of a user namespace (podman of a plain user).
#pragma once

#include <string>

#include "plan.h"

namespace husk::runtime {

bool is_rootless();
bool is_in_user_namespace();  // other than the initial one
void force_rootless(bool rootless);  // --rootless

// Where state is kept without --root: $XDG_RUNTIME_DIR/husk when rootless (without that
// variable /run/user/UID/husk), else /run/husk.
std::string default_state_root();

// cgroup v2: the path of a container that names none, in the part of the hierarchy that was delegated to us; "" where
// none was. Beside our own cgroup if we may, for controllers cannot be given to cgroups below processes.
// Source: kernel Documentation/admin-guide/cgroup-v2.rst, "Delegation", "No Internal Process Constraint".
std::string find_delegated_cgroup(const std::string& id);

// A caller that names no cgroup and asks for no limits can do without one. Device rules do not count: a
// user namespace cannot make devices, and only those that the host's owner lets it open are bound in.
bool can_do_without_cgroup(const cgroups::Plan& plan, const std::string& cgroups_path);

}  // namespace husk::runtime
