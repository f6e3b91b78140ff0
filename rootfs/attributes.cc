#include "rootfs/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>

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

Status change(const UniqueFd& tree, const sys::MountAttributes& attributes, bool recursive) {
  if (is_empty(attributes)) return ok();
  const unsigned flags = AT_EMPTY_PATH | (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  auto done = sys::mount_setattr(tree.get(), "", flags, attributes);
  if (done.has_value()) return done;
  const int err = done.error().os_errno();
  if (attributes.userns_fd >= 0 && (err == EINVAL || err == EPERM || err == EOPNOTSUPP))
    return std::move(done).error().as(Kind::unsupported).hint(
        "the file system of the source cannot be idmapped (kernel 5.12 or newer is needed; tmpfs: 6.3, overlay: not)");
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
