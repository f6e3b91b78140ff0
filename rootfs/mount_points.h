// For restore, where CRIU makes the mounts: what they stand on is made by apply, as in create.
#pragma once

#include "rootfs/rootfs.h"

namespace husk::rootfs {

// The plan whose apply only makes what mounts and devices stand on, in a mount namespace that is thrown away. Pure.
RootfsPlan plan_mount_points(RootfsPlan plan);

}  // namespace husk::rootfs
