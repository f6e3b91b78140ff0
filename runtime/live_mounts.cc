// husk mounts: a short child enters the container's mount namespace and attaches what was made on the host side.
// It stays in husk's pid namespace and is not dumpable: no process of the container sees it.
#include <linux/sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/root_dir.h"
#include "base/sys.h"
#include "container.h"
#include "init/credentials.h"
#include "rootfs/live.h"
#include "sysctl.h"

namespace husk::runtime {
namespace {

using oci::NamespaceType;

struct Target {
  Opened opened;
  oci::Spec spec;
  UniqueFd init;
};

Result<Target> open_target(const StateStore& store, const ContainerId& id) {
  auto opened = TRY(open_locked(store, id));
  if (opened.phase == Phase::creating || opened.phase == Phase::stopped)
    return Error{Kind::wrong_state, format_text("cannot change mounts of a container that is {}: container not running", name_of(opened.phase))};
  auto init = TRY(open_alive(opened.record.init));
  if (!init.has_value()) return Error{Kind::wrong_state, "container not running: no such process"};
  auto spec = TRY(saved_spec(opened.directory));
  return Target{.opened = std::move(opened), .spec = std::move(spec), .init = std::move(init).value()};
}

struct Entry {
  std::uint64_t flags = 0;
  UniqueFd root;  // --no-pivot: the container's root is not that of its namespace
};

// Beside the mount namespace those that own what sysfs, mqueue and cgroup2 show. Never the pid namespace.
constexpr std::uint64_t kJoined = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP;

Result<Entry> plan_entry(const Target& target) {
  const auto& record = target.opened.record;
  const auto namespaces = TRY(namespaces_to_enter(target.spec, record.init.pid));
  auto root = TRY(open_own_root(record));
  return Entry{.flags = namespaces.others & kJoined, .root = std::move(root)};
}

Result<RootDir> enter(const Entry& entry, const UniqueFd& init) {
  TRY(sys::setns(init.get(), static_cast<int>(entry.flags)).during("enter the container's namespaces"));
  if ((entry.flags & CLONE_NEWUSER) != 0) TRY(become_namespace_root().during("become root of the user namespace"));
  TRY(sys::set_dumpable(false));  // a change of user, as setns into a user namespace is one, may have set it
  (void)sys::umask(0);
  if (entry.root.is_open()) {
    TRY(sys::fchdir(entry.root.get()));
    TRY(sys::chroot("."));
  }
  return RootDir::open("/");
}

using Work = std::function<Status(const rootfs::ContainerSide&)>;

Status work_inside(const Entry& entry, const UniqueFd& init, UniqueFd proc, const std::string& host_mounts, const Work& work) {
  auto root = TRY(enter(entry, init));
  return work({.root = std::move(root), .proc = std::move(proc), .host_groups = rootfs::peer_groups(host_mounts)});
}

// Should husk be killed meanwhile, the child comes to its end nevertheless: all of the mounts or none.
Status run_inside(const Target& target, const Work& work) {
  const auto entry = TRY(plan_entry(target));
  auto proc = TRY(open_verified_proc());
  const auto host_mounts = TRY(read_file_at(proc.get(), "self/mountinfo"));
  auto channels = TRY(make_channels());
  const auto clone = TRY(sys::clone3({}).during("clone"));
  if (clone.pid == 0) {
    channels.parent.close();
    const auto done = work_inside(entry, target.init, std::move(proc), host_mounts, work);
    (void)(done.has_value() ? channels.child.send(Step::ready) : channels.child.send_error(done.error()));
    ::_exit(0);
  }
  channels.child.close();
  auto done = channels.parent.expect(Step::ready);
  (void)sys::waitid_pidfd(clone.pidfd.get(), WEXITED);
  return done;
}

Result<rootfs::RootfsPlan> plan_addition(const Target& target, const std::vector<oci::Mount>& mounts) {
  return rootfs::plan_live_mounts(target.spec, mounts,
                                  {.bundle = target.opened.record.bundle,
                                   .new_user_namespace = target.spec.find_namespace(NamespaceType::user) != nullptr,
                                   .cgroup2 = target.opened.record.cgroup_version == cgroups::Version::v2});
}

}  // namespace

Status change_mounts(const StateStore& store, const ContainerId& id, MountChange change, const std::vector<oci::Mount>& mounts) {
  const auto target = TRY(open_target(store, id));
  if (change == MountChange::remove) {
    const auto destinations = TRY(rootfs::plan_live_removal(mounts));
    return run_inside(target, [&](const auto& side) { return rootfs::detach_live_mounts(destinations, side); });
  }
  const auto plan = TRY(plan_addition(target, mounts));
  auto handles = TRY(rootfs::prepare_live_mounts(plan));
  return run_inside(target, [&](const auto& side) { return rootfs::attach_live_mounts(plan, handles, side); });
}

}  // namespace husk::runtime
