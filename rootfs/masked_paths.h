// maskedPaths and readonlyPaths. Paths that do not exist are left out: kernels differ in what they have.
// Source: runtime-spec config-linux.md#masked-paths, #readonly-paths.
#pragma once

#include "base/result.h"
#include "rootfs/mount_point.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {

// Directories are covered by one shared, empty, read-only tmpfs, files by the host's /dev/null, which is
// checked to be character device 1:3 and never looked up in the container (CVE-2025-31133).
Status mask_paths(const RootfsPlan& plan, const Ground& ground);
// Covers each with a clone of itself that is read-only, with all mounts below.
Status make_paths_readonly(const RootfsPlan& plan, const Ground& ground);
// One such cover, detached.
Result<UniqueFd> open_mask(bool directory, const std::string& mount_label);

}  // namespace husk::rootfs
