// A file system mounted anew: fsopen, fsconfig, fsmount. Attached nowhere yet.
#pragma once

#include <string>

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
// The same without looking for the host's: for a caller whose "/" is the container's.
Result<UniqueFd> make_fresh_only(const MountOp& op, bool user_namespace);
// A tmpfs that will cover the directory `covered` (-1: nothing was there). It has that directory's mode unless
// told otherwise, as with other runtimes (the kernel's default would be 1777), and with tmpcopyup what is in it.
// Not read-only yet: mount points are made in it first.
Result<UniqueFd> make_tmpfs(MountOp op, int covered);

// SELinux: all files of the file system that is being made get `label`; "" leaves it to the policy.
// Source: man 8 mount, context=.
Status set_context(int fs, const std::string& label, const std::string& option = "context");

// All mqueue mounts of an IPC namespace are one file system, whose labels the mount that husk makes first would
// settle for all: its root directory is labelled, as other runtimes do.
bool is_labelled_by_attribute(const MountOp& op);
Status label_root(const UniqueFd& mount, const std::string& label);

}  // namespace husk::rootfs
