// create_pinned and remove_pinned of pod_network.h.
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>

#include "base/file.h"
#include "base/format.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "netns/link.h"
#include "netns/namespace_thread.h"
#include "netns/pod_network.h"
#include "netns/sysctl.h"

namespace husk::netns {
namespace {

constexpr int kLoopbackIndex = 1;  // the first interface of every network namespace
constexpr int kMaxStackedMounts = 64;

// Lets go of every namespace mounted at `path`, which may be a plain file. A crash, or a peer's propagated
// mount, may have stacked several.
Status unmount_pins(const std::string& path) {
  for (int i = 0; i < kMaxStackedMounts; ++i) {
    auto done = sys::umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (done.has_value()) continue;
    // EINVAL: not a mount point (any more). Source: man 2 umount2.
    if (done.error().os_errno() == EINVAL || done.error().os_errno() == ENOENT) return ok();
    return done;
  }
  return Error{Kind::busy, format_text("{} is mounted over more than {} times", quote(path), kMaxStackedMounts)};
}

Status remove_leftover(const std::string& path) {
  auto found = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (!found.has_value()) {
    if (found.error().kind() == Kind::not_found) return ok();
    return std::move(found).error();
  }
  if (!S_ISREG(found.value().st_mode))
    return Error{Kind::exists, format_text("{} is in the way and is not a network namespace", quote(path))};
  TRY(unmount_pins(path));
  auto gone = sys::unlinkat(AT_FDCWD, path);
  if (!gone.has_value() && gone.error().kind() == Kind::not_found) return ok();
  return gone;
}

// On a thread of its own: the new namespace dies with it unless the last step has pinned it.
Status fill_and_pin(const std::string& path, const std::vector<std::pair<std::string, std::string>>& sysctls) {
  TRY(sys::unshare(CLONE_NEWNET));
  auto socket = TRY(netlink::Socket::open(NETLINK_ROUTE));
  TRY(set_link_up(socket, kLoopbackIndex, "lo"));
  for (const auto& [key, value] : sysctls) TRY(write_sysctl(key, value));
  return sys::mount("/proc/thread-self/ns/net", path, "", MS_BIND, "");
}

}  // namespace

Result<PinnedNetns> create_pinned(const std::string& path,
                                  const std::vector<std::pair<std::string, std::string>>& sysctls) {
  if (!path.starts_with('/'))
    return Error{Kind::invalid, format_text("network namespace path {} is not absolute", quote(path))};
  for (const auto& [key, value] : sysctls) TRY(sysctl_path(key));
  const auto step = format_text("create network namespace {}", quote(path));
  TRY(make_directories(path.substr(0, path.rfind('/'))).during(step));
  TRY(remove_leftover(path).during(step));
  {
    TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0444).during(step));
  }
  Rollback undo;
  undo.on_failure([&] { (void)sys::unlinkat(AT_FDCWD, path); });  // the first error counts
  TRY(on_new_thread([&] { return fill_and_pin(path, sysctls); }).during(step));
  undo.commit();
  return PinnedNetns{.path = path};
}

Status remove_pinned(const std::string& path) {
  return remove_leftover(path).during(format_text("remove network namespace {}", quote(path)));
}

}  // namespace husk::netns
