// The façade of rootfs/: what the runtime's child process calls, in this order:
//   make_plan (parent, pure) → prepare (parent: opens what only the host side may open)
//   → apply (child, in its new mount namespace: root, mounts, devices, masks on detached trees)
//   → createContainer hooks run here → enter (masked and read-only paths, pivot_root, read-only root)
//   → finish (root propagation).
// Everything below the rootfs goes through RootDir; everything in /proc through a private procfs.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"
#include "rootfs/mount_plan.h"

namespace husk::rootfs {

struct PlanOptions {
  std::string bundle;          // absolute host path
  bool no_pivot = false;       // chroot instead of pivot_root (initramfs)
  bool new_user_namespace = false;
  bool cgroup2 = false;        // /sys/fs/cgroup on this host is cgroup2
  std::string mounts_pointer = "/mounts";  // where spec.mounts was read from, for errors
};

// What apply will do. Plain data: tests compare it, `husk create --print-plan` may show it.
struct RootfsPlan {
  std::string rootfs;                  // absolute host path
  bool readonly_root = false;
  bool no_pivot = false;
  bool joined = false;                 // the mount namespace is one that others live in: nothing of theirs changes
  std::uint64_t root_propagation = 0;  // MS_SLAVE | MS_REC …
  std::vector<MountOp> mounts;
  std::vector<oci::Device> devices;    // the default ones first
  std::map<std::string, std::string> device_pointers;  // path → JSON pointer, for errors
  bool bind_devices = false;           // user namespace: bind host nodes instead of mknod
  bool default_devices = true;         // /dev is not bound from the host: nodes and symlinks are made
  bool console = false;                // process.terminal: /dev/console is made for bind_console
  bool cgroup_namespace = false;       // the container sees its cgroup as the root of the hierarchy
  std::string mount_label;             // SELinux, of file systems that are made; "" = none
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
};
// Errors: invalid or unsupported, with the JSON pointer of the mount.
Result<RootfsPlan> make_plan(const oci::Spec& spec, const PlanOptions& options);

// Descriptors opened on the host side, before any namespace is entered.
struct HostHandles {
  UniqueFd proc;                        // the host's /proc; only for a mount namespace that is joined
  UniqueFd root;                        // detached clone of the rootfs, with what is mounted below it
  std::vector<UniqueFd> mount_sources;  // parallel to plan.mounts; closed where not a bind
  std::vector<UniqueFd> id_map_userns;  // parallel to plan.mounts; closed where no idmap
};
Result<HostHandles> prepare(const RootfsPlan& plan);
Result<HostHandles> prepare_mounts(const RootfsPlan& plan);  // all but the root

struct Applied {
  RootDir root;  // the new root mount, not yet entered
  UniqueFd dev;  // its /dev, opened once; closed when nothing was made there
};
// `enter_network`: called before the first mount that may belong to a network namespace, and at the latest
// when all is mounted, so that the caller can have the namespace made meanwhile; may be called twice.
Result<Applied> apply(const RootfsPlan& plan, const HostHandles& handles, const std::function<Status()>& enter_network = ok);
Status enter(const RootfsPlan& plan, const Applied& applied);
Status finish(const RootfsPlan& plan);

// Makes /dev/console inside a bind of `pts_fd` (CVE-2025-52565: fd to fd, never by name).
// Called between apply and enter.
Status bind_console(const Applied& applied, const UniqueFd& pts_fd);
// Opens a new pty from the container's own devpts; after enter. master to hand out, slave for stdio.
struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};
Result<Terminal> open_terminal(const RootDir& root);

}  // namespace husk::rootfs
