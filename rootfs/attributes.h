// Attributes and propagation of a detached mount, in as few mount_setattr calls as possible.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "rootfs/mount_plan.h"

namespace husk::rootfs {

// `tree` is a mount's root. `userns_fd` >= 0 makes it idmapped.
// The options of the mount itself come first, the recursive ones win (config.md#mounts).
Status set_attributes(const UniqueFd& tree, const MountOp& op, int userns_fd = -1);

// Attributes for fsmount: one mount, so the recursive ones count too.
unsigned fresh_attributes(const MountOp& op);

}  // namespace husk::rootfs
