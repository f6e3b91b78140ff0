#include <errno.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "base/sys.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {
namespace {

// For a root that is the kernel's own initramfs, which pivot_root refuses. The host's mounts stay in the
// namespace, covered by ours.
Status move_over_root(const RootDir& root) {
  TRY(sys::fchdir(root.fd()));
  TRY(sys::move_mount(root.fd(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
  TRY(sys::chroot("."));
  return sys::chdir("/");
}

Status pivot(const RootDir& root) {
  TRY(sys::fchdir(root.fd()));
  // pivot_root(".", ".") stacks the old root on top of the new one at "/", so the image needs no
  // directory for it. "." still means the new root; umount2(".") starts there, goes up the stack and
  // detaches the old root. Every old mount is private or a slave by now (apply), or this would reach
  // the host. Source: man 2 pivot_root, NOTES.
  auto done = sys::pivot_root(".", ".");
  if (!done.has_value() && done.error().os_errno() == EINVAL)
    return std::move(done).hint("the host's root may be an initramfs: --no-pivot uses chroot instead");
  if (!done.has_value()) return done;
  TRY(sys::umount2(".", MNT_DETACH));
  return sys::chdir("/");
}

// pivot_root would move the root of all who live in the namespace. Source: man 2 pivot_root, DESCRIPTION.
Status enter_by_chroot(const RootDir& root) {
  TRY(sys::fchdir(root.fd()));
  TRY(sys::chroot("."));
  return sys::chdir("/");
}

}  // namespace

Status enter(const RootfsPlan& plan, const Applied& applied) {
  if (plan.joined) return enter_by_chroot(applied.root);
  return plan.no_pivot ? move_over_root(applied.root) : pivot(applied.root);
}

Status finish(const RootfsPlan& plan) {
  // "/" is the root of this process: no name of the container is resolved on the way (CVE-2026-115521).
  // A root that is private or a slave is so since prepare.
  const std::uint64_t type = plan.root_propagation & (MS_SHARED | MS_UNBINDABLE);
  if (!plan.readonly_root && type == 0) return ok();
  return sys::mount_setattr(AT_FDCWD, "/", 0,
                            {.set = plan.readonly_root ? std::uint64_t{MOUNT_ATTR_RDONLY} : 0, .propagation = type})
      .during("set attributes of the root");
}

}  // namespace husk::rootfs
