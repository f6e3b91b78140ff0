// tmpcopyup: what the image has at a tmpfs's mount point is copied into the tmpfs.
// Source: runtime-spec config.md#mounts, tmpcopyup.
#pragma once

#include "base/result.h"

namespace husk::rootfs {

// Copies what is in the directory `from` (O_PATH is enough) into the empty directory `to`: types, modes,
// owners, times, extended attributes; hard links become separate files. Nothing is followed, no FIFO or
// device is opened. Mounts below `from` are copied as what they show.
Status copy_up(int from, int to);

}  // namespace husk::rootfs
