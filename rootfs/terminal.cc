#include <errno.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/rootfs.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace husk::rootfs {
namespace {

// The file that the terminal is mounted on: one that exists and is no link, or a new empty one.
// Source: CVE-2025-52565, CVE-2026-88264 (an image's /dev/console may be a link to anywhere).
Result<UniqueFd> open_console_place(const UniqueFd& dev, bool may_make) {
  const Status made = may_make ? sys::mknodat(dev.get(), "console", S_IFREG | 0600, 0) : ok();
  auto place = sys::openat(dev.get(), "console", O_PATH | O_NOFOLLOW);
  if (!place.has_value() && !made.has_value()) return made.error();
  if (!place.has_value()) return place;
  const auto info = TRY(sys::fstat(place.value().get()));
  if (S_ISREG(info.st_mode) || S_ISCHR(info.st_mode)) return place;
  return Error{Kind::invalid, "\"/dev/console\" of the rootfs is a symbolic link, a directory or no file that a "
                              "terminal can be mounted on"}
      .hint("remove it from the image");
}

// devpts makes its names itself, so in a directory that is on devpts "ptmx" is the real one, unless
// something is mounted over it: RESOLVE_NO_XDEV refuses that.
Result<UniqueFd> open_ptmx(const UniqueFd& pts) {
  const auto info = TRY(sys::fstatfs(pts.get()));
  if (info.f_type != DEVPTS_SUPER_MAGIC)
    return Error{Kind::invalid, "\"/dev/pts\" of the container is not a devpts"}.hint(
        "a terminal needs a mount of type devpts on /dev/pts");
  open_how how{};
  how.flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  auto ptmx = TRY(sys::openat2(pts.get(), "ptmx", how));
  const auto node = TRY(sys::fstat(ptmx.get()));
  if (S_ISCHR(node.st_mode) && node.st_rdev == makedev(5, 2)) return ptmx;
  return Error{Kind::invalid, "\"/dev/pts/ptmx\" is not character device 5:2"};
}

}  // namespace

Result<Terminal> open_terminal(const RootDir& root) {
  auto pts = root.open_plain("/dev/pts", O_DIRECTORY);
  if (!pts.has_value()) return std::move(pts).error().hint("a terminal needs a mount of type devpts on /dev/pts");
  Terminal terminal;
  terminal.master = TRY(open_ptmx(pts.value()));
  int unlocked = 0;
  TRY(sys::ioctl(terminal.master.get(), TIOCSPTLCK, &unlocked, "TIOCSPTLCK"));
  // By descriptor, not by a name like /dev/pts/0 that something may be mounted on. Source: man 4 pts,
  // man 2 ioctl_tty.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the argument of this ioctl is a number
  auto* const flags = reinterpret_cast<void*>(static_cast<std::uintptr_t>(O_RDWR | O_NOCTTY | O_CLOEXEC));
  terminal.slave.reset(TRY(sys::ioctl(terminal.master.get(), TIOCGPTPEER, flags, "TIOCGPTPEER")));
  return terminal;
}

Status bind_console(const Applied& applied, const UniqueFd& pts_fd) {
  // A /dev that is bound is the host's: there the terminal covers what exists, and nothing is made.
  const bool own = applied.dev.is_open();
  const auto dev = own ? TRY(sys::dup_cloexec(applied.dev.get())) : TRY(applied.root.open_plain("/dev", O_DIRECTORY));
  const auto place = open_console_place(dev, own);
  if (!place.has_value() && !own && place.error().kind() == Kind::not_found) return ok();
  if (!place.has_value()) return place.error();
  const auto tree = TRY(sys::open_tree(pts_fd.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  return sys::move_mount(tree.get(), "", place.value().get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

}  // namespace husk::rootfs
