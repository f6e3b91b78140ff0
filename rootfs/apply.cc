// The child's side, in its new mount namespace, before pivot_root. Read `apply` at the end first.
// Mounts are moved onto descriptors; no path of the container is ever put together as text.
#include <errno.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/attributes.h"
#include "rootfs/cgroup_mount.h"
#include "rootfs/copied_link.h"
#include "rootfs/devices.h"
#include "rootfs/fresh_mount.h"
#include "rootfs/masked_paths.h"
#include "rootfs/mount_point.h"
#include "rootfs/peers.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {
namespace {

Status apply_tmpfs(const MountOp& op, Ground& ground) {
  const auto place = TRY(open_mount_point(ground, op.to, {}));
  auto tmpfs = TRY(make_tmpfs(op, place.existed ? place.fd.get() : -1));
  TRY(attach_at(tmpfs, place));
  ground.forget_own(op.to);
  ground.own.push_back({.path = op.to,
                        .mount = std::move(tmpfs),
                        .read_only_later = (fresh_attributes(op) & MOUNT_ATTR_RDONLY) != 0});
  return ok();
}

Status keep_tree(Ground& ground, const std::string& path, UniqueFd mount) {
  auto tree = TRY(RootDir::adopt(std::move(mount)));
  ground.kernel.push_back({.path = path, .tree = std::move(tree)});
  return ok();
}

Status apply_fresh(const MountOp& op, Ground& ground, bool user_namespace) {
  if (op.type == "tmpfs") return apply_tmpfs(op, ground);
  const bool of_kernel = op.type == "proc" || op.type == "sysfs";
  const auto place = TRY(open_mount_point(ground, op.to, {.plain = of_kernel}));
  auto fresh = TRY(make_fresh(op, user_namespace));
  ground.forget_own(op.to);
  TRY(attach_at(fresh.mount, place));
  return of_kernel ? keep_tree(ground, op.to, std::move(fresh.mount)) : ok();
}

Status apply_bind(const MountOp& op, Ground& ground, const UniqueFd& source) {
  if (!source.is_open()) return Error{Kind::internal, "the source of the bind mount was not prepared"};
  const auto target = TRY(link_to_copy(op, source));
  if (target.has_value()) {
    const auto place = TRY(ground.root.open_parent(op.to, true));
    TRY(make_link(place, *target));
    return ok();
  }
  const auto place = TRY(open_mount_point(ground, op.to, {.like_fd = source.get(), .plain = op.to == "/proc", .nofollow = op.place_nofollow}));
  ground.forget_own(op.to);
  TRY(attach_at(source, place));
  if (op.to != "/proc" && op.to != "/sys") return ok();
  auto copy = TRY(sys::dup_cloexec(source.get()));
  return keep_tree(ground, op.to, std::move(copy));
}

Status apply_cgroup(const MountOp& op, const RootfsPlan& plan, Ground& ground) {
  const auto place = TRY(open_mount_point(ground, op.to, {}));
  ground.forget_own(op.to);
  return mount_cgroup_v1(op, place, plan.cgroup_namespace);
}

Status reconfigure(const MountOp& op, const UniqueFd& place) {
  const auto fs = TRY(sys::fspick(place.get(), "", FSPICK_EMPTY_PATH));
  for (const auto& [key, value] : op.settings) {
    auto done = value.empty() ? sys::fsconfig_flag(fs.get(), key) : sys::fsconfig_string(fs.get(), key, value);
    if (!done.has_value()) return done;
  }
  return sys::fsconfig_reconfigure(fs.get());
}

Status apply_remount(const MountOp& op, const Ground& ground) {
  const auto place = TRY(open_to_remount(ground, op.to));
  Status done = op.reconfigure && !op.settings.empty() ? reconfigure(op, place) : ok();
  if (done.has_value()) done = set_attributes(place, op);
  if (!done.has_value() && done.error().os_errno() == EINVAL)
    return std::move(done).hint(format_text("only a mount point can be remounted: is {} one?", quote(op.to)));
  return done;
}

Status apply_one(const RootfsPlan& plan, const HostHandles& handles, Ground& ground, std::size_t index) {
  const auto& op = plan.mounts[index];
  switch (op.act) {
    case Act::bind: return apply_bind(op, ground, handles.mount_sources[index]);
    case Act::fresh: return apply_fresh(op, ground, plan.bind_devices);
    case Act::cgroup: return apply_cgroup(op, plan, ground);
    case Act::remount: return apply_remount(op, ground);
  }
  return ok();
}

// From here nothing that is mounted or detached here reaches the host; with slave, its mounts still
// come here. A shared root gets its type in finish: pivot_root refuses shared mounts.
Status leave_host_propagation(const RootfsPlan& plan) {
  const std::uint64_t type = (plan.root_propagation & (MS_PRIVATE | MS_UNBINDABLE)) != 0 ? MS_PRIVATE : MS_SLAVE;
  return sys::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, {.propagation = type});
}

// At its own path, where createContainer hooks look for it. A child that may not walk there (a user
// namespace below a directory of mode 0700, a joined mount namespace) mounts it over "/".
Status attach_root(const RootfsPlan& plan, const UniqueFd& root) {
  auto done = sys::move_mount(root.get(), "", AT_FDCWD, plan.rootfs, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS);
  if (done.has_value()) return done;
  const int err = done.error().os_errno();
  if (err != EACCES && err != ENOENT && err != ENOTDIR) return done;
  return sys::move_mount(root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

// In a namespace of others only this one mount is added, where nobody else sees it come: at the rootfs's own path, in
// a mount that is not shared. Over "/" it would hide theirs from all who enter later.
Status attach_among_others(const RootfsPlan& plan, const HostHandles& handles) {
  const auto place = TRY(sys::openat(AT_FDCWD, plan.rootfs, O_PATH | O_DIRECTORY)
                             .hint("the rootfs must be there, under the same path, in the mount namespace that is joined"));
  const auto id = TRY(sys::mount_id(place.get(), ""));
  const auto mountinfo = TRY(read_file_at(handles.proc.get(), "self/mountinfo"));
  if (shared_group(mountinfo, id).has_value())
    return Error{Kind::invalid, format_text("{} is in a shared mount of the namespace that is joined: the rootfs would appear in others too", quote(plan.rootfs))}
        .hint("make that mount private there (mount --make-private)");
  return sys::move_mount(handles.root.get(), "", place.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

using EnterNetwork = std::function<Status()>;

// sysfs shows the network namespace of who mounts it, and a network file system speaks through it.
bool is_of_no_network(const MountOp& op) {
  constexpr std::array<std::string_view, 5> kTypes{"proc", "tmpfs", "devpts", "mqueue", "cgroup2"};
  return op.act != Act::fresh || std::find(kTypes.begin(), kTypes.end(), op.type) != kTypes.end();
}

Status apply_mount(const RootfsPlan& plan, const HostHandles& handles, Ground& ground, std::size_t index) {
  auto done = apply_one(plan, handles, ground, index);
  if (done.has_value()) return done;
  const auto& op = plan.mounts[index];
  const auto& what = op.act == Act::fresh ? op.type : op.from;
  return std::move(done).during(format_text("{}: mount {} on {}", quote(op.pointer), quote(what), quote(op.to)));
}

// The network namespace is made by somebody else, side by side with us (runtime/spawn.h). What needs it waits, and so
// does what comes after it in config.json, but for what cannot meet it: names in an empty tmpfs of ours, where no link
// of the image leads away, and masks in a /proc of ours.
class Waiting {
 public:
  explicit Waiting(const RootfsPlan& plan) : plan_{plan} {}
  void add(std::size_t index) { mounts_.push_back(index); }
  const std::vector<std::size_t>& mounts() const { return mounts_; }

  bool meets(const std::string& path) const {
    return std::any_of(mounts_.begin(), mounts_.end(), [&](std::size_t index) {
      const auto& to = plan_.mounts[index].to;
      return to == path || is_below(to, path) || is_below(path, to);
    });
  }
  bool concerns(const MountOp& op, const Ground& ground) const {
    if (mounts_.empty()) return !is_of_no_network(op);
    return op.act != Act::fresh || !is_of_no_network(op) || !is_in_empty_tmpfs(op.to, ground) || meets(op.to);
  }
  bool concerns_devices(const Ground& ground) const {
    if (mounts_.empty()) return false;
    const bool all_in_dev = std::all_of(plan_.devices.begin(), plan_.devices.end(),
                                        [](const auto& device) { return is_below(device.path, "/dev"); });
    return !all_in_dev || !is_empty_tmpfs("/dev", ground) || meets("/dev");
  }
  bool concerns_path(const std::string& path, const Ground& ground) const {
    if (mounts_.empty()) return false;
    return std::none_of(ground.kernel.begin(), ground.kernel.end(),
                        [&](const auto& item) { return is_below(path, item.path) && !meets(item.path); });
  }

 private:
  bool is_empty_tmpfs(const std::string& path, const Ground& ground) const {
    return ground.find_own(path) != nullptr && std::none_of(plan_.mounts.begin(), plan_.mounts.end(), [&](const auto& op) {
             return (op.copy_up && op.to == path) || (op.speaks_of_links() && is_below(op.to, path));
           });
  }
  bool is_in_empty_tmpfs(const std::string& path, const Ground& ground) const {
    return is_empty_tmpfs(path.substr(0, path.rfind('/')), ground);
  }

  const RootfsPlan& plan_;
  std::vector<std::size_t> mounts_;
};

// Modes in config.json are meant as they stand.
class NoUmask {
 public:
  NoUmask() : before_{sys::umask(0)} {}
  NoUmask(const NoUmask&) = delete;
  NoUmask& operator=(const NoUmask&) = delete;
  ~NoUmask() { (void)sys::umask(before_); }

 private:
  mode_t before_;
};

Status apply_devices(const RootfsPlan& plan, const Ground& ground, UniqueFd& dev) {
  if (plan.default_devices) dev = TRY(open_dev(ground));
  return make_devices(plan, ground, dev);
}

Status fill(const RootfsPlan& plan, const HostHandles& handles, Ground& ground, UniqueFd& dev, const EnterNetwork& enter_network) {
  const NoUmask no_umask;
  Waiting waiting{plan};
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    if (waiting.concerns(plan.mounts[i], ground))
      waiting.add(i);
    else
      TRY(apply_mount(plan, handles, ground, i));
  }
  const bool devices_wait = waiting.concerns_devices(ground);
  if (!devices_wait) TRY(apply_devices(plan, ground, dev));
  PathCovers covers{plan, ground};
  TRY(covers.put([&](const std::string& path) { return !waiting.concerns_path(path, ground); }));
  TRY(enter_network());
  for (const auto index : waiting.mounts()) TRY(apply_mount(plan, handles, ground, index));
  if (devices_wait) TRY(apply_devices(plan, ground, dev));
  for (const auto& item : ground.own)
    if (item.read_only_later)
      TRY(sys::mount_setattr(item.mount.get(), "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY}));
  return covers.put([](const std::string&) { return true; });
}

// Who restricted itself with Landlock may not mount, and neither may its children. Source: man 7 landlock.
Status explain_forbidden(Status done) {
  if (done.has_value() || done.error().os_errno() != EPERM) return done;
  return std::move(done).hint("a security module forbids mounts: did the caller restrict itself with Landlock? Start husk outside of that");
}

}  // namespace

Result<Applied> apply(const RootfsPlan& plan, const HostHandles& handles, const EnterNetwork& enter_network) {
  if (!plan.joined) TRY(leave_host_propagation(plan));
  auto attached = plan.joined ? attach_among_others(plan, handles) : attach_root(plan, handles.root);
  TRY(explain_forbidden(std::move(attached)).during("attach rootfs"));
  auto root_fd = TRY(sys::dup_cloexec(handles.root.get()));
  auto root = TRY(RootDir::adopt(std::move(root_fd)));
  Ground ground{.root = root, .own = {}, .kernel = {}};
  UniqueFd dev;
  TRY(fill(plan, handles, ground, dev, enter_network));
  TRY(sys::fchdir(root.fd()));  // where createContainer hooks expect to be, as with other runtimes
  return Applied{.root = std::move(root), .dev = std::move(dev)};
}

}  // namespace husk::rootfs
