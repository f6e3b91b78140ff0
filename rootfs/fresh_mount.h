// A file system mounted anew: fsopen, fsconfig, fsmount. Attached nowhere yet.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "rootfs/mount_plan.h"

namespace husk::rootfs {

struct FreshMount {
  UniqueFd mount;
  bool of_host = false;  // a bind of the host's, read-only: this namespace may not mount its own
};
// In a user namespace sysfs, mqueue and cgroup2 belong to whoever owns the network, IPC and cgroup
// namespace; when that is the host, its mount is bound instead.
// Errors carry the kernel's own text.
Result<FreshMount> make_fresh(const MountOp& op, bool user_namespace);

}  // namespace husk::rootfs
