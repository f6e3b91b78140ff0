#include "rootfs/masked_paths.h"

#include <linux/mount.h>
#include <sys/sysmacros.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/fresh_mount.h"

namespace husk::rootfs {
namespace {

constexpr unsigned kEmptyToEmpty = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

Result<UniqueFd> open_empty_directory(const std::string& label) {
  const auto fs = TRY(sys::fsopen("tmpfs"));
  TRY(set_context(fs.get(), label));
  TRY(sys::fsconfig_string(fs.get(), "mode", "755"));
  TRY(sys::fsconfig_create(fs.get()));
  return sys::fsmount(fs.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

// Runs before pivot_root: this is the host's /dev/null, by a path the container cannot change.
Result<UniqueFd> open_null(const std::string&) {
  auto tree = TRY(sys::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE));
  const auto info = TRY(sys::fstat(tree.get()));
  if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3)) return tree;
  return Error{Kind::invalid, "\"/dev/null\" of the host is not character device 1:3"};
}

Status mask(Cover& directories, Cover& files, const Ground& ground, const std::string& path) {
  const auto place = TRY(ground.find_path(path));
  if (!place.has_value()) return ok();
  const auto info = TRY(sys::fstat(place->get()));
  return S_ISDIR(info.st_mode) ? directories.put_on(*place) : files.put_on(*place);
}

Status make_readonly(const Ground& ground, const std::string& path) {
  const auto place = TRY(ground.find_path(path));
  if (!place.has_value()) return ok();
  constexpr unsigned kCloneAll = OPEN_TREE_CLONE | static_cast<unsigned>(AT_EMPTY_PATH | AT_RECURSIVE);
  const auto tree = TRY(sys::open_tree(place->get(), "", kCloneAll));
  TRY(sys::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, {.set = MOUNT_ATTR_RDONLY}));
  return sys::move_mount(tree.get(), "", place->get(), "", kEmptyToEmpty);
}

// What `which` chooses, in its order; the rest stays.
std::vector<std::string> take(std::vector<std::string>& paths, const WhichPaths& which) {
  std::vector<std::string> taken;
  std::vector<std::string> rest;
  for (auto& path : paths) (which(path) ? taken : rest).push_back(std::move(path));
  paths = std::move(rest);
  return taken;
}

}  // namespace

Status Cover::put_on(const UniqueFd& place) {
  if (attached_.is_open()) {
    const auto clone = TRY(sys::open_tree(attached_.get(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
    return sys::move_mount(clone.get(), "", place.get(), "", kEmptyToEmpty);
  }
  auto mount = TRY(open_(label_));
  TRY(sys::move_mount(mount.get(), "", place.get(), "", kEmptyToEmpty));
  attached_ = std::move(mount);
  return ok();
}

PathCovers::PathCovers(const RootfsPlan& plan, const Ground& ground)
    : ground_{ground}, masked_{plan.masked_paths}, readonly_{plan.readonly_paths}, directories_{open_empty_directory, plan.mount_label}, files_{open_null, plan.mount_label} {}

// Masks first: a read-only path may cover the whole of a procfs or sysfs, by its name or by a link of the image. Its
// clone then has the masks; set afterwards, they would be below it, where nobody looks.
Status PathCovers::put(const WhichPaths& which) {
  for (const auto& path : take(masked_, which)) {
    auto done = mask(directories_, files_, ground_, path);
    if (!done.has_value()) return std::move(done).during(format_text("mask {}", quote(path)));
  }
  for (const auto& path : take(readonly_, which)) {
    auto done = make_readonly(ground_, path);
    if (!done.has_value()) return std::move(done).during(format_text("make {} read-only", quote(path)));
  }
  return ok();
}

Result<UniqueFd> open_mask(bool directory, const std::string& mount_label) {
  return directory ? open_empty_directory(mount_label) : open_null(mount_label);
}

}  // namespace husk::rootfs
