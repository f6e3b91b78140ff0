// Device nodes, symbolic links and the place of the console in /dev.
// Source: runtime-spec config-linux.md#devices, #default-devices; man 7 pts.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "rootfs/mount_point.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {

// /dev of the new root, opened once and never through a symbolic link; made when missing.
// Source: CVE-2026-41579, CVE-2026-47766.
Result<UniqueFd> open_dev(const Ground& ground);

// Makes plan.devices and, when they are wanted, the links. Must run with umask 0. Where mknod is not
// allowed (user namespace) the host's node is bound. `dev` is closed when the plan needs no /dev.
Status make_devices(const RootfsPlan& plan, const Ground& ground, const UniqueFd& dev);

// The host's node of the same path, detached. Errors: invalid when it is another device.
Result<UniqueFd> open_host_node(const oci::Device& device);

}  // namespace husk::rootfs
