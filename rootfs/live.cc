#include "rootfs/live.h"

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
#include "rootfs/copied_link.h"
#include "rootfs/fresh_mount.h"
#include "rootfs/mount_point.h"

namespace husk::rootfs {
namespace {

// File systems without a path of the host in their options. They are made in the container's namespaces, whose
// network, IPC objects, cgroup and owner they show.
constexpr std::array<std::string_view, 14> kMadeInside{
    "binfmt_misc", "bpf", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl",
    "hugetlbfs", "mqueue", "pstore", "ramfs", "sysfs", "tmpfs"};

bool is_made_inside(const MountOp& op) {
  return op.act == Act::fresh && std::ranges::find(kMadeInside, op.type) != kMadeInside.end();
}

std::string step_of(const MountOp& op) {
  const auto& what = op.act == Act::fresh ? op.type : op.from;
  return format_text("{}: mount {} on {}", quote(op.pointer), quote(what), quote(op.to));
}

Status refuse_unsupported(const MountOp& op) {
  if (op.act == Act::remount)
    return Error{Kind::unsupported, "a mount that is there cannot be changed"}.hint("remove it and add it again with other options");
  if (op.act == Act::cgroup)
    return Error{Kind::unsupported, "the hierarchies of cgroup v1 are mounted when the container is created only"};
  if (op.act == Act::fresh && op.type == "proc")
    return Error{Kind::unsupported, "proc would show husk's own pid namespace: it is mounted when the container is created only"};
  return ok();
}

std::string fd_path(const UniqueFd& fd) { return format_text("self/fd/{}", fd.get()); }

// Takes a mount away by the descriptor of its root: no name of the container is resolved. With the host's /proc as
// working directory, since the container's is not to be trusted.
Status detach_fd(const ContainerSide& side, const UniqueFd& mount) {
  TRY(sys::fchdir(side.proc.get()));
  return sys::umount2(fd_path(mount), MNT_DETACH);
}

// What is mounted or unmounted on the mount `parent` happens on the host too.
bool is_shared_with_host(std::string_view mountinfo, std::uint64_t parent, const ContainerSide& side) {
  const auto group = shared_group(mountinfo, parent);
  return group.has_value() && std::ranges::binary_search(side.host_groups, *group);
}

Error shared_with_host() {
  return Error{Kind::invalid, "the place is in a mount that is shared with the host, where the same would happen"}.hint(
      "mount or unmount it on the host, below that directory: the container follows");
}

Status refuse_shared_place(int place, const ContainerSide& side) {
  const auto id = TRY(sys::mount_id(place, ""));
  const auto mountinfo = TRY(read_file_at(side.proc.get(), "self/mountinfo"));
  return is_shared_with_host(mountinfo, id, side) ? Status{shared_with_host()} : ok();
}

// The root itself has a parent that cannot be seen from inside; it is never taken away.
Status refuse_shared_parent(const UniqueFd& mount, const ContainerSide& side) {
  const auto id = TRY(sys::mount_id(mount.get(), ""));
  const auto mountinfo = TRY(read_file_at(side.proc.get(), "self/mountinfo"));
  const auto ids = find_mount_ids(mountinfo, id);
  if (!ids.has_value()) return Error{Kind::not_found, "the mount is gone"};
  return is_shared_with_host(mountinfo, ids->parent, side) ? Status{shared_with_host()} : ok();
}

// A tmpfs is read-only only now: what it copies up comes first.
Result<UniqueFd> make_inside(const MountOp& op, const MountPoint& place, bool user_namespace) {
  if (op.type != "tmpfs") return make_fresh_only(op, user_namespace);
  auto mount = TRY(make_tmpfs(op, place.existed ? place.fd.get() : -1));
  if ((fresh_attributes(op) & MOUNT_ATTR_RDONLY) != 0)
    TRY(sys::mount_setattr(mount.get(), "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY}));
  return mount;
}

// What is to be undone when a later mount fails.
struct Attached {
  UniqueFd mount;
  RootDir::Place link;  // of a copied link that was not there before
  std::string target;
};

Result<Attached> add_link(const std::string& path, std::string target, const ContainerSide& side) {
  auto place = TRY(side.root.open_parent(path, true));
  TRY(refuse_shared_place(place.parent.get(), side));
  const bool made = TRY(make_link(place, target));
  if (!made) return Attached{};
  return Attached{.mount = {}, .link = std::move(place), .target = std::move(target)};
}

Result<Attached> attach_one(const RootfsPlan& plan, UniqueFd source, const ContainerSide& side, const MountOp& op) {
  auto target = TRY(link_to_copy(op, source));
  if (target.has_value()) return add_link(op.to, std::move(*target), side);
  const Ground ground{.root = side.root, .own = {}};
  const bool plain = op.to == "/proc" || op.type == "sysfs";
  const auto place = TRY(open_mount_point(ground, op.to, {.like_fd = source.get(), .plain = plain, .nofollow = op.place_nofollow}));
  TRY(refuse_shared_place(place.dirfd(), side));
  if (!source.is_open()) source = TRY(make_inside(op, place, plan.bind_devices));
  TRY(attach_at(source, place));
  return Attached{.mount = std::move(source), .link = {}, .target = {}};
}

// Best effort: there is nothing better to do than to go on with the others.
void undo(const Attached& attached, const ContainerSide& side) {
  if (attached.mount.is_open()) (void)detach_fd(side, attached.mount);
  if (!attached.link.parent.is_open()) return;
  const auto there = sys::readlinkat(attached.link.parent.get(), attached.link.name);
  if (there.has_value() && there.value() == attached.target) (void)sys::unlinkat(attached.link.parent.get(), attached.link.name);
}

struct Found {
  const std::string& destination;
  bool itself;    // not behind a link
  UniqueFd mount;
  UniqueFd copy;  // to put it back
};

// A link that is mounted (src-nofollow) is the mount; one that is not leads to it.
Result<Found> find_mount(const std::string& destination, const ContainerSide& side) {
  auto fd = TRY(side.root.open_path(destination, O_NOFOLLOW));
  const bool itself = TRY(sys::is_mount_root(fd.get(), ""));
  if (!itself) fd = TRY(side.root.open_path(destination));
  const bool is_root = TRY(sys::is_mount_root(fd.get(), ""));
  const auto id = TRY(sys::mount_id(fd.get(), ""));
  const auto root_id = TRY(sys::mount_id(side.root.fd(), ""));
  if (!is_root || id == root_id)
    return Error{Kind::not_found, format_text("{} is no mount point in the container", quote(destination))};
  TRY(refuse_shared_parent(fd, side).during(quote(destination)));
  return Found{.destination = destination, .itself = itself, .mount = std::move(fd), .copy = UniqueFd{}};
}

// With a copy of it, and of what is mounted below, while others are still to go.
Status detach_one(Found& found, bool is_last, const ContainerSide& side) {
  const unsigned flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | static_cast<unsigned>(AT_RECURSIVE);
  if (!is_last)
    found.copy = TRY(sys::open_tree(found.mount.get(), "", flags).hint("it could not be put back if another one fails: remove it alone"));
  auto done = detach_fd(side, found.mount);
  if (done.has_value() || done.error().os_errno() != EINVAL) return done;
  return std::move(done).hint("the mount came with the container's user namespace and is locked in it, or is gone already");
}

// Best effort: each goes where its name leads now.
void put_back(std::vector<Found>& found, std::size_t from, const ContainerSide& side) {
  const Ground ground{.root = side.root, .own = {}};
  for (std::size_t i = from; i < found.size(); ++i) {
    const auto place = open_mount_point(ground, found[i].destination, {.like_fd = found[i].copy.get(), .nofollow = found[i].itself});
    if (place.has_value()) (void)attach_at(found[i].copy, place.value());
  }
}

}  // namespace

Result<RootfsPlan> plan_live_mounts(oci::Spec spec, const std::vector<oci::Mount>& mounts, PlanOptions options) {
  spec.mounts = mounts;
  spec.linux.masked_paths.clear();
  spec.linux.readonly_paths.clear();
  spec.linux.devices.clear();
  options.mounts_pointer.clear();
  auto plan = TRY(make_plan(spec, options));
  for (const auto& op : plan.mounts) TRY(refuse_unsupported(op).during(step_of(op)));
  return plan;
}

Result<HostHandles> prepare_live_mounts(const RootfsPlan& plan) {
  auto handles = TRY(prepare_mounts(plan));
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const auto& op = plan.mounts[i];
    if (op.act == Act::fresh && !is_made_inside(op))
      handles.mount_sources[i] = TRY(make_fresh_only(op, false).during(step_of(op)));
  }
  return handles;
}

Result<std::vector<std::string>> plan_live_removal(const std::vector<oci::Mount>& mounts) {
  std::vector<std::string> destinations;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    auto path = clean_path(mounts[i].destination);
    if (path == "/" || is_below(path, "/proc"))
      return Error{Kind::invalid, format_text("\"/{}\": {} keeps its mounts: they are part of how the container is closed off", i, quote(path))};
    destinations.push_back(std::move(path));
  }
  std::ranges::sort(destinations, {}, &std::string::size);  // taken away from the end: what is below comes first
  return destinations;
}

Status attach_live_mounts(const RootfsPlan& plan, HostHandles& handles, const ContainerSide& side) {
  std::vector<Attached> attached;
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    auto one = attach_one(plan, std::move(handles.mount_sources[i]), side, plan.mounts[i]);
    if (one.has_value()) {
      attached.push_back(std::move(one).value());
      continue;
    }
    while (!attached.empty()) {
      undo(attached.back(), side);
      attached.pop_back();
    }
    return std::move(one).error().during(step_of(plan.mounts[i]));
  }
  return ok();
}

Status detach_live_mounts(const std::vector<std::string>& destinations, const ContainerSide& side) {
  std::vector<Found> found;
  for (const auto& destination : destinations) found.push_back(TRY(find_mount(destination, side)));
  for (std::size_t i = found.size(); i-- > 0;) {
    auto done = detach_one(found[i], i == 0, side);
    if (done.has_value()) continue;
    put_back(found, i + 1, side);
    return std::move(done).error().during(format_text("unmount {}", quote(found[i].destination)));
  }
  return ok();
}

}  // namespace husk::rootfs
