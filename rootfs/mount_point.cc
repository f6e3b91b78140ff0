#include "rootfs/mount_point.h"

#include <errno.h>
#include <linux/magic.h>
#include <linux/mount.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/copied_link.h"
#include "rootfs/mount_plan.h"

namespace husk::rootfs {
namespace {

constexpr int kMaxLinks = 40;  // man 7 path_resolution
constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;

struct Split {
  std::string parent;
  std::string name;
};
Split split_last(const std::string& path) {
  const auto slash = path.rfind('/');
  return {.parent = slash == 0 ? "/" : path.substr(0, slash), .name = path.substr(slash + 1)};
}

Result<bool> wants_file(const Wanted& wanted) {
  if (wanted.like_fd < 0) return false;
  const auto info = TRY(sys::fstat(wanted.like_fd));
  return !S_ISDIR(info.st_mode);
}

// mknodat makes an empty file and opens nothing. False: something has the name already.
Result<bool> make_name(int parent, const std::string& name, bool file) {
  auto made = file ? sys::mknodat(parent, name, S_IFREG | kFileMode, 0) : sys::mkdirat(parent, name, kDirectoryMode);
  if (made.has_value()) return true;
  if (made.error().kind() == Kind::exists) return false;
  return std::move(made).error().hint("the mount point is missing and cannot be made there: add it to the image");
}

Error not_plain(const std::string& path) {
  return Error{Kind::invalid, format_text("{} must be an ordinary directory of the rootfs: proc and sysfs are not "
                                          "mounted through symbolic links", quote(path))}
      .hint("fix the image: it has a symbolic link or a file there");
}

// A file at the end of links that lead nowhere yet, as /etc/resolv.conf often is in images.
Result<MountPoint> make_file(const Ground& ground, std::string path) {
  for (int links = 0; links < kMaxLinks; ++links) {
    auto place = TRY(ground.root.open_parent(path, true));
    const bool made = TRY(make_name(place.parent.get(), place.name, true));
    if (made) return MountPoint{.fd = std::move(place.parent), .name = std::move(place.name)};
    auto found = ground.root.open_path(path);
    if (found.has_value()) return MountPoint{.fd = std::move(found).value(), .existed = true};
    if (found.error().kind() != Kind::not_found) return std::move(found).error();
    const auto target = TRY(sys::readlinkat(place.parent.get(), place.name));
    path = target.starts_with('/') ? target : format_text("{}/{}", split_last(path).parent, target);
  }
  return Error{Kind::invalid, format_text("{} has too many symbolic links", quote(path))};
}

Result<MountPoint> make_directory(const Ground& ground, const std::string& path, bool plain) {
  const auto [parent_path, name] = split_last(path);
  auto parent = ground.root.open_plain(parent_path, O_DIRECTORY);
  if (parent.has_value()) {
    const bool made = TRY(make_name(parent.value().get(), name, false));
    if (made) return MountPoint{.fd = std::move(parent).value(), .name = name};
    if (plain) return not_plain(path);  // appeared meanwhile, or leads nowhere
  }
  auto directory = TRY(ground.root.make_directories(path, kDirectoryMode));
  if (!plain) return MountPoint{.fd = std::move(directory), .existed = true};
  auto again = ground.root.open_plain(path, O_DIRECTORY);
  if (!again.has_value()) return not_plain(path);
  return MountPoint{.fd = std::move(again).value(), .existed = true};
}

// The plan refused what is below "/proc" by name; behind a symbolic link only the kernel knows.
Status check_not_in_proc(const UniqueFd& fd, const std::string& path) {
  const auto info = TRY(sys::fstatfs(fd.get()));
  if (info.f_type != PROC_SUPER_MAGIC) return ok();
  return Error{Kind::invalid, format_text("{} leads into /proc, which no mount may cover", quote(path))};
}

// The root covered by a mount stays the root of the first process; who enters later would get the mount.
Status check_not_root(const UniqueFd& fd, const Ground& ground, const std::string& path) {
  const auto place = TRY(sys::fstat(fd.get()));
  const auto root = TRY(sys::fstat(ground.root.fd()));
  if (place.st_dev != root.st_dev || place.st_ino != root.st_ino) return ok();
  return Error{Kind::invalid, format_text("{} leads to the rootfs itself, which no mount may cover", quote(path))}.hint(
      "fix the image: it has a symbolic link there");
}

Status check_behind_link(const UniqueFd& fd, const Ground& ground, const std::string& path) {
  TRY(check_not_in_proc(fd, path));
  return check_not_root(fd, ground, path);
}

// What was missing a moment ago may be there now, as a link that somebody who shares the directory has made.
Result<MountPoint> make_missing(const Ground& ground, const std::string& path, const Wanted& wanted) {
  const bool file = TRY(wants_file(wanted));
  auto place = file ? make_file(ground, path) : make_directory(ground, path, wanted.plain);
  if (place.has_value() && place.value().existed) TRY(check_behind_link(place.value().fd, ground, path));
  return place;
}

// Found in its directory, by descriptor: whatever the name becomes meanwhile, it is not followed.
Result<MountPoint> open_unfollowed(const Ground& ground, const std::string& path, const Wanted& wanted) {
  auto [parent, name] = TRY(ground.root.open_parent(path, true));
  const bool file = TRY(wants_file(wanted));
  auto found = sys::openat(parent.get(), name, O_PATH | O_NOFOLLOW);
  if (!found.has_value() && found.error().os_errno() == ENOENT) {
    const bool made = TRY(make_name(parent.get(), name, file));
    if (made) return MountPoint{.fd = std::move(parent), .name = std::move(name)};
    found = sys::openat(parent.get(), name, O_PATH | O_NOFOLLOW);
  }
  auto place = TRY(std::move(found));
  TRY(check_behind_link(place, ground, path));
  const bool link = TRY(is_link(place));
  if (!link || file) return MountPoint{.fd = std::move(place), .existed = true};
  return Error{Kind::invalid, format_text("{} is a symbolic link in the rootfs, and the kernel mounts a directory on a directory only", quote(path))}
      .hint("leave out dest-nofollow to mount where the link leads, or remove the link from the image");
}

}  // namespace

const OwnTmpfs* Ground::find_own(const std::string& path) const {
  for (const auto& item : own)
    if (item.path == path) return &item;
  return nullptr;
}

void Ground::forget_own(const std::string& path) {
  for (auto& item : own)
    if (item.path == path || is_below(item.path, path)) item.path.clear();
  std::erase_if(kernel, [&path](const auto& item) { return item.path == path || is_below(item.path, path); });
}

Result<std::optional<UniqueFd>> Ground::find_path(const std::string& path) const {
  for (const auto& item : kernel)
    if (is_below(path, item.path)) return item.tree.find_path(path.substr(item.path.size()));
  return root.find_path(path);
}

Result<MountPoint> open_mount_point(const Ground& ground, const std::string& path, const Wanted& wanted) {
  const auto [parent, name] = split_last(path);
  if (const auto* own = ground.find_own(parent)) {
    const bool file = TRY(wants_file(wanted));
    const bool made = TRY(make_name(own->mount.get(), name, file));
    if (made) return MountPoint{.own_fd = own->mount.get(), .name = name};
  }
  auto found = ground.root.open_plain(path, wanted.plain ? O_DIRECTORY : 0);
  if (found.has_value()) return MountPoint{.fd = std::move(found).value(), .existed = true};
  const int err = found.error().os_errno();
  if (wanted.nofollow && !wanted.plain && (err == ENOENT || err == ELOOP)) return open_unfollowed(ground, path, wanted);
  if (err == ENOENT) return make_missing(ground, path, wanted);
  if (wanted.plain && (err == ELOOP || err == ENOTDIR)) return not_plain(path);
  if (err != ELOOP) return std::move(found).error();
  auto behind = ground.root.open_path(path);
  if (!behind.has_value() && behind.error().os_errno() == ENOENT) return make_missing(ground, path, wanted);
  if (!behind.has_value()) return std::move(behind).error();
  TRY(check_behind_link(behind.value(), ground, path));
  return MountPoint{.fd = std::move(behind).value(), .existed = true};
}

Result<UniqueFd> open_to_remount(const Ground& ground, const std::string& path) {
  auto plain = ground.root.open_plain(path);
  if (plain.has_value() || plain.error().os_errno() != ELOOP) return plain;
  auto behind = TRY(ground.root.open_path(path));
  const auto info = TRY(sys::fstatfs(behind.get()));
  constexpr std::array<long, 4> kKernels{PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC};
  if (std::ranges::find(kKernels, static_cast<long>(info.f_type)) == kKernels.end()) return behind;
  return Error{Kind::invalid, format_text("{} leads to a mount of the kernel's, which is remounted by its own name only", quote(path))}
      .hint("fix the image: it has a symbolic link there");
}

Status attach_at(const UniqueFd& mount, const MountPoint& place) {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (place.name.empty() ? MOVE_MOUNT_T_EMPTY_PATH : 0U);
  auto done = sys::move_mount(mount.get(), "", place.dirfd(), place.name, flags);
  if (done.has_value()) return done;
  switch (done.error().os_errno()) {
    case EINVAL:
    case ENOTDIR: return std::move(done).hint("a directory can only be mounted on a directory, a file only on a file");
    case ELOOP: return std::move(done).hint("the source holds a pinned namespace file: use bind instead of rbind");
    default: return done;
  }
}

}  // namespace husk::rootfs
