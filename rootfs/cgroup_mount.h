// The mount of type "cgroup" on a host with cgroup v1 (also hybrid): a tmpfs with one directory a
// hierarchy. On v2 the plan turns it into an ordinary mount.
// Source: man 7 cgroups, "Mounting v1 controllers"; runtime-spec config-linux.md#cgroup-namespace.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "rootfs/mount_plan.h"
#include "rootfs/mount_point.h"

namespace husk::rootfs {

// One line of /proc/self/cgroup.
struct Hierarchy {
  std::string directory;              // "cpu,cpuacct", "systemd", "unified"
  std::vector<std::string> aliases;   // "cpu", "cpuacct", where several controllers share it
  std::string options;                // for mount(2): "cpu,cpuacct", "name=systemd"; "" = v2
  std::string path;                   // this process's cgroup in it
};
// Errors: invalid, for a line that is not "N:controllers:/path".
Result<std::vector<Hierarchy>> parse_hierarchies(std::string_view proc_self_cgroup);

// `own_namespace`: hierarchies are mounted anew and show the container's cgroup as their root; else the
// directories of this process's own cgroups are bound.
Status mount_cgroup_v1(const MountOp& op, const MountPoint& place, bool own_namespace);

// This process's own cgroup of one hierarchy as a detached mount. Errors: not_found when the host has not mounted it.
Result<UniqueFd> open_own_hierarchy(const Hierarchy& item, const MountOp& op);

}  // namespace husk::rootfs
