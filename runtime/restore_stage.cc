#include "restore_stage.h"

#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "handshake.h"
#include "rootfs/cgroup_mount.h"
#include "rootfs/copied_link.h"
#include "rootfs/devices.h"
#include "rootfs/masked_paths.h"
#include "rootfs/mount_points.h"

namespace husk::runtime {
namespace {

// The first directory on the way to `path` that is closed to others, or `path` itself.
Result<std::string> first_closed(const std::string& path) {
  for (auto end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    const auto info = TRY(sys::fstatat(AT_FDCWD, path.substr(0, end), 0));
    if ((info.st_mode & S_IXOTH) == 0) return path.substr(0, end);
  }
  return path;
}

Result<UniqueFd> mount_stage(const std::string& directory, bool open_to_all) {
  const auto fs = TRY(sys::fsopen("tmpfs"));
  TRY(sys::fsconfig_string(fs.get(), "mode", open_to_all ? "711" : "700"));
  TRY(sys::fsconfig_create(fs.get()));
  auto stage = TRY(sys::fsmount(fs.get(), 0));
  TRY(sys::move_mount(stage.get(), "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH));
  return stage;
}

Status place(int fd, const UniqueFd& stage, const std::string& name) {
  const auto info = TRY(sys::fstat(fd));
  TRY(S_ISDIR(info.st_mode) ? sys::mkdirat(stage.get(), name, 0700) : sys::mknodat(stage.get(), name, S_IFREG | 0600, 0));
  return sys::move_mount(fd, "", stage.get(), name, MOVE_MOUNT_F_EMPTY_PATH);
}

Result<UniqueFd> overlay_images(const UniqueFd& images, const std::string& stage) {
  for (const auto* name : {"/upper", "/work", "/images"}) TRY(sys::mkdirat(AT_FDCWD, stage + name, 0755));
  TRY(sys::fchmodat(AT_FDCWD, stage + "/upper", 0755));
  const auto fs = TRY(sys::fsopen("overlay"));
  TRY(sys::fsconfig_string(fs.get(), "lowerdir", format_text("/proc/self/fd/{}", images.get())));
  TRY(sys::fsconfig_string(fs.get(), "upperdir", stage + "/upper"));
  TRY(sys::fsconfig_string(fs.get(), "workdir", stage + "/work"));
  TRY(sys::fsconfig_create(fs.get()));
  const auto mount = TRY(sys::fsmount(fs.get(), 0));
  TRY(sys::move_mount(mount.get(), "", AT_FDCWD, stage + "/images", MOVE_MOUNT_F_EMPTY_PATH));
  return sys::openat(AT_FDCWD, stage + "/images", O_RDONLY | O_DIRECTORY);
}

Status rehearse(const rootfs::RootfsPlan& plan) {
  const auto handles = TRY(rootfs::prepare(plan));
  TRY(enter_private_mounts());
  TRY(rootfs::apply(plan, handles));
  return ok();
}

}  // namespace

Result<std::vector<Source>> open_sources(const rootfs::RootfsPlan& plan, const Outside& outside, const rootfs::HostHandles& handles) {
  std::vector<Source> sources;
  for (std::size_t i = 0; i < outside.mounts.size(); ++i) {
    const auto& source = handles.mount_sources[outside.sources[i]];
    const auto& op = plan.mounts[outside.sources[i]];
    const bool link = op.speaks_of_links() ? TRY(rootfs::is_link(source)) : false;
    if (link) return Error{Kind::invalid, format_text("{}: {} is a symbolic link now, and was none when the image was made", quote(op.pointer), quote(op.from))};
    sources.push_back({.key = mount_key(outside.mounts[i]), .own = UniqueFd{}, .borrowed = source.get()});
  }
  for (const auto index : outside.masks) sources.push_back({.key = mask_key(index), .own = TRY(rootfs::open_mask(false, plan.mount_label))});
  for (const auto index : outside.masked_directories) sources.push_back({.key = mask_key(index), .own = TRY(rootfs::open_mask(true, plan.mount_label))});
  for (const auto index : outside.devices)
    sources.push_back({.key = device_key(index), .own = TRY(rootfs::open_host_node(plan.devices[index]))});
  return sources;
}

Status add_hierarchies(const rootfs::RootfsPlan& plan, const Outside& outside, std::vector<Source>& sources) {
  if (outside.hierarchies.empty()) return ok();
  const auto op = std::ranges::find_if(plan.mounts, is_cgroup_mount);
  if (op == plan.mounts.end()) return Error{Kind::invalid, "the image has cgroup mounts, config.json has none"};
  const auto own = TRY(read_file("/proc/self/cgroup"));
  const auto hierarchies = TRY(rootfs::parse_hierarchies(own));
  for (std::size_t i = 0; i < outside.hierarchies.size(); ++i) {
    const auto& name = outside.hierarchies[i];
    const auto item = std::ranges::find(hierarchies, name.empty() ? "unified" : name, &rootfs::Hierarchy::directory);
    if (item == hierarchies.end())
      return Error{Kind::unsupported, format_text("this host has no cgroup hierarchy {}", quote(name))};
    sources.push_back({.key = hierarchy_key(i), .own = TRY(rootfs::open_own_hierarchy(*item, *op))});
  }
  return ok();
}

Status enter_private_mounts() {
  TRY(sys::unshare(CLONE_NEWNS));
  return sys::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, {.propagation = MS_SLAVE});
}

Result<Staged> stage_mounts(const std::string& directory, bool open_to_all, const UniqueFd& root, const std::vector<Source>& sources) {
  const auto where = open_to_all ? TRY(first_closed(directory)) : directory;
  const auto stage = TRY(mount_stage(where, open_to_all));
  Staged placed{.directory = where, .root = where + "/root", .sources = {}};
  TRY(place(root.get(), stage, "root"));
  for (const auto& source : sources) {
    TRY(place(source.fd(), stage, source.key));
    placed.sources.emplace_back(source.key, where + "/" + source.key);
  }
  return placed;
}

UniqueFd show_to_all(const UniqueFd& images, const Staged& staged) {
  if (sys::fstatat(images.get(), "parent", AT_SYMLINK_NOFOLLOW).has_value()) return {};
  auto mounted = overlay_images(images, staged.directory);
  return mounted.has_value() ? std::move(mounted).value() : UniqueFd{};
}

Status make_mount_points(const rootfs::RootfsPlan& plan) {
  auto channels = TRY(make_channels());
  auto clone = TRY(sys::clone3({}));
  if (clone.pid == 0) {
    (void)sys::set_parent_death_signal(SIGKILL);
    const auto done = rehearse(rootfs::plan_mount_points(plan));
    if (!done.has_value()) (void)channels.child.send_error(done.error());  // else its status tells
    else (void)channels.child.send(Step::ready);
    ::_exit(0);
  }
  channels.child.close();
  auto done = channels.parent.expect(Step::ready);
  (void)sys::waitid_pidfd(clone.pidfd.get(), WEXITED);
  return done;
}

}  // namespace husk::runtime
