// The options of config.json's mounts: one table, exported for `husk features`.
// Source: runtime-spec config.md#linux-mount-options; man 2 mount_setattr; man 8 mount.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace husk::rootfs {

using Settings = std::vector<std::pair<std::string, std::string>>;  // key → value; "" = flag

struct MountOptions {
  bool bind = false;
  bool recursive_bind = false;
  bool remount = false;
  bool copy_up = false;
  bool id_map = false;
  bool id_map_recursive = false;
  bool copy_link = false;              // copy-symlink: a source that is a link is made again, not mounted
  bool source_nofollow = false;        // src-nofollow: a source that is a link is mounted itself
  bool place_nofollow = false;         // dest-nofollow: the mount goes onto a link, not to what it leads to
  std::uint64_t attributes_set = 0;    // MOUNT_ATTR_*; the access time field is a value, see below
  std::uint64_t attributes_clear = 0;
  std::uint64_t recursive_set = 0;
  std::uint64_t recursive_clear = 0;
  std::uint64_t propagation = 0;       // MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE
  bool propagation_recursive = false;
  Settings superblock;                 // "sync", "nolazytime", …: fsconfig flags every file system knows
  Settings data;                       // all other options, for the file system itself
};

// A later option wins over an earlier one of the same kind. An access time option puts the whole field
// MOUNT_ATTR__ATIME into `clear` and its value into `set`, as mount_setattr wants it.
// Errors: invalid (an empty key, an embedded NUL).
Result<MountOptions> parse_mount_options(const std::vector<std::string>& options);

// Every option of the table, sorted, for features.md#mount-options.
std::vector<std::string> mount_option_names();

}  // namespace husk::rootfs
