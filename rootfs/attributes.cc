#include "rootfs/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include <array>

#include "base/format.h"
#include "base/sys.h"

namespace husk::rootfs {
namespace {

bool is_empty(const sys::MountAttributes& change) {
  return change.set == 0 && change.clear == 0 && change.propagation == 0;
}

// `later` wins where both speak of the same bit. Clearing bits that a call also sets is legal: the
// kernel clears first, which is how the access time field is changed.
sys::MountAttributes merge(const sys::MountAttributes& first, const sys::MountAttributes& later) {
  return {.set = (first.set & ~later.clear) | later.set,
          .clear = (first.clear & ~later.set) | later.clear,
          .propagation = later.propagation != 0 ? later.propagation : first.propagation,
          .userns_fd = later.userns_fd >= 0 ? later.userns_fd : first.userns_fd};
}

// Since which kernel a file system may be idmapped (FS_ALLOW_IDMAP in its fs_flags).
struct Idmappable {
  std::uint64_t magic;
  const char* name;
  const char* kernel;  // "" = in no kernel so far
};
constexpr std::array kIdmappable{
    Idmappable{EXT4_SUPER_MAGIC, "ext4", "5.12"}, Idmappable{MSDOS_SUPER_MAGIC, "vfat", "5.12"},
    Idmappable{XFS_SUPER_MAGIC, "xfs", "5.12"},   Idmappable{BTRFS_SUPER_MAGIC, "btrfs", "5.15"},
    Idmappable{F2FS_SUPER_MAGIC, "f2fs", "5.18"}, Idmappable{EROFS_SUPER_MAGIC_V1, "erofs", "5.19"},
    Idmappable{SQUASHFS_MAGIC, "squashfs", "6.2"}, Idmappable{TMPFS_MAGIC, "tmpfs", "6.3"},
    Idmappable{0x00c36400, "ceph", "6.7"},        Idmappable{FUSE_SUPER_MAGIC, "fuse", "6.12, when its server says so"},
    Idmappable{OVERLAYFS_SUPER_MAGIC, "overlay", ""}, Idmappable{NFS_SUPER_MAGIC, "nfs", ""},
    Idmappable{PROC_SUPER_MAGIC, "proc", ""},     Idmappable{SYSFS_MAGIC, "sysfs", ""},
    Idmappable{0x01021997, "9p", ""},             Idmappable{0xff534d42, "cifs", ""}};

std::string explain_idmap(const UniqueFd& tree) {
  const auto info = sys::fstatfs(tree.get());
  const auto magic = info.has_value() ? static_cast<std::uint64_t>(info.value().f_type) & 0xffffffffU : 0;
  for (const auto& row : kIdmappable) {
    if (row.magic != magic) continue;
    if (*row.kernel == '\0') return format_text("the source is on {}, which no kernel can idmap: put it on ext4, xfs, btrfs or tmpfs", row.name);
    return format_text("the source is on {}, which can be idmapped from kernel {} on; it must not be idmapped already, nor "
                       "hold mounts of other file systems with ridmap", row.name, row.kernel);
  }
  return format_text("the file system of the source (magic {:#x}) cannot be idmapped, or not by this kernel: 5.12 or newer is needed", magic);
}

Status change(const UniqueFd& tree, const sys::MountAttributes& attributes, bool recursive) {
  if (is_empty(attributes)) return ok();
  const unsigned flags = AT_EMPTY_PATH | (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  auto done = sys::mount_setattr(tree.get(), "", flags, attributes);
  if (done.has_value()) return done;
  const int err = done.error().os_errno();
  if (attributes.userns_fd >= 0 && (err == EINVAL || err == EPERM || err == EOPNOTSUPP))
    return std::move(done).error().as(Kind::unsupported).hint(explain_idmap(tree));
  if (err == EPERM && attributes.clear != 0)
    return std::move(done).hint(
        "a user namespace cannot lift ro, nosuid, nodev, noexec or noatime of an inherited mount");
  return done;
}

}  // namespace

Status set_attributes(const UniqueFd& tree, const MountOp& op, int userns_fd) {
  sys::MountAttributes own{.set = op.attributes_set, .clear = op.attributes_clear};
  sys::MountAttributes all{.set = op.recursive_set, .clear = op.recursive_clear};
  (op.propagation_recursive ? all : own).propagation = op.propagation;
  if (userns_fd >= 0) {
    auto& mapped = op.id_map_recursive ? all : own;
    mapped.set |= MOUNT_ATTR_IDMAP;
    mapped.userns_fd = userns_fd;
  }
  // A bind that is not recursive is one mount: everything goes in one call.
  if (!op.recursive_bind) return change(tree, merge(own, all), false);
  TRY(change(tree, own, false));
  return change(tree, all, true);
}

unsigned fresh_attributes(const MountOp& op) {
  const auto merged = merge({.set = op.attributes_set, .clear = op.attributes_clear},
                            {.set = op.recursive_set, .clear = op.recursive_clear});
  return static_cast<unsigned>(merged.set);
}

}  // namespace husk::rootfs
