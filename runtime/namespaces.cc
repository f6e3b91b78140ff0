#include "namespaces.h"

#include <linux/nsfs.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "oci-spec/names.h"
#include "rootless.h"

namespace husk::runtime {
namespace {

using oci::NamespaceType;

struct Row {
  NamespaceType type;
  std::uint64_t flag;
  const char* file;
};
constexpr std::array kTypes{Row{NamespaceType::user, CLONE_NEWUSER, "user"},
                            Row{NamespaceType::pid, CLONE_NEWPID, "pid"},
                            Row{NamespaceType::network, CLONE_NEWNET, "net"},
                            Row{NamespaceType::mount, CLONE_NEWNS, "mnt"},
                            Row{NamespaceType::ipc, CLONE_NEWIPC, "ipc"},
                            Row{NamespaceType::uts, CLONE_NEWUTS, "uts"},
                            Row{NamespaceType::cgroup, CLONE_NEWCGROUP, "cgroup"},
                            Row{NamespaceType::time, CLONE_NEWTIME, "time"}};

const Row& row_of(NamespaceType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(), [&](const Row& row) { return row.type == type; });
}

void add_new(NamespacePlan& plan, NamespaceType type) {
  switch (type) {
    case NamespaceType::cgroup: plan.new_cgroup = true; return;
    case NamespaceType::time: plan.new_time = true; return;
    case NamespaceType::user: plan.new_user = true; break;
    case NamespaceType::mount: plan.new_mount = true; break;
    default: break;
  }
  plan.clone_flags |= clone_flag(type);
}

Result<std::string> time_offsets(const oci::Linux& linux, const oci::Spec& spec) {
  std::string text;
  const auto add = [&](std::string_view clock, const std::optional<oci::TimeOffset>& offset) {
    if (offset.has_value()) text += format_text("{} {} {}\n", clock, offset->seconds, offset->nanoseconds);
  };
  add("monotonic", linux.time_offset_monotonic);
  add("boottime", linux.time_offset_boottime);
  const auto* item = spec.find_namespace(NamespaceType::time);
  if (!text.empty() && (item == nullptr || !item->path.empty()))
    return Error{Kind::invalid, "\"/linux/timeOffsets\": needs a new time namespace"}.hint(
        "add {\"type\": \"time\"} to linux.namespaces");
  return text;
}

// The rootfs is mounted and pivot_root is called in the mount namespace of the container, for all who
// live in it: in our own that would be the host.
Status refuse_own_mounts(const UniqueFd& fd, const std::string& path) {
  const auto joined = TRY(sys::fstat(fd.get()));
  if (!TRY(is_own_namespace(NamespaceType::mount, joined))) return ok();
  return Error{Kind::unsupported, format_text("{} is the mount namespace of husk itself", quote(path))}.hint(
      "leave the path out: the container's mounts would be made on the host");
}

}  // namespace

std::uint64_t clone_flag(NamespaceType type) { return row_of(type).flag; }

std::string namespace_path(std::string_view process, NamespaceType type) { return format_text("/proc/{}/ns/{}", process, row_of(type).file); }

bool is_same_namespace(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

Result<bool> is_own_namespace(NamespaceType type, const struct stat& other) {
  const auto own = TRY(sys::fstatat(AT_FDCWD, namespace_path("self", type), 0));
  return is_same_namespace(own, other);
}

Result<ToEnter> namespaces_to_enter(const oci::Spec& spec, pid_t init) {
  ToEnter found;
  for (const auto& item : spec.linux.namespaces) {
    if (item.type == NamespaceType::pid) found.pid = true;
    else found.others |= clone_flag(item.type);
  }
  if ((found.others & CLONE_NEWUSER) == 0) return found;
  const auto user = TRY(sys::fstatat(AT_FDCWD, namespace_path(std::to_string(init), NamespaceType::user), 0));
  if (TRY(is_own_namespace(NamespaceType::user, user))) found.others &= ~static_cast<std::uint64_t>(CLONE_NEWUSER);
  return found;
}

Result<NamespacePlan> plan_namespaces(const oci::Spec& spec) {
  NamespacePlan plan;
  bool join_user = false;
  for (const auto& item : spec.linux.namespaces) {
    if (item.type == NamespaceType::mount) plan.own_mount = true;
    if (item.path.empty()) {
      add_new(plan, item.type);
      continue;
    }
    join_user = join_user || item.type == NamespaceType::user;
    plan.joins.push_back({.type = item.type, .path = item.path});
  }
  plan.staged = join_user || (plan.new_user && !plan.joins.empty());
  plan.time_offsets = TRY(time_offsets(spec.linux, spec));
  // In a user namespace of the container's own, the network has to be made by who is in there; in one of the
  // caller's, the way back into the host's network is closed.
  plan.parallel_network = (plan.clone_flags & CLONE_NEWNET) != 0 && !plan.new_user && !plan.staged && !is_rootless() &&
                          spec.linux.net_devices.empty();  // they are moved to the namespace that the child is in
  if (plan.parallel_network) plan.clone_flags &= ~static_cast<std::uint64_t>(CLONE_NEWNET);
  if (!plan.new_user) return plan;
  plan.uid_mappings = spec.linux.uid_mappings;
  plan.gid_mappings = spec.linux.gid_mappings;
  if (plan.uid_mappings.empty() || plan.gid_mappings.empty())
    return Error{Kind::invalid, "\"/linux/uidMappings\": a new user namespace needs uidMappings and gidMappings"};
  return plan;
}

Result<JoinHandles> open_joins(const NamespacePlan& plan) {
  JoinHandles handles;
  for (const auto& join : plan.joins) {
    const auto step = format_text("\"/linux/namespaces\": open {} namespace", oci::namespace_name(join.type));
    auto fd = TRY(sys::openat(AT_FDCWD, join.path, O_RDONLY | O_NOCTTY | O_NONBLOCK).during(step));
    const auto type = sys::ioctl(fd.get(), NS_GET_NSTYPE, nullptr, "NS_GET_NSTYPE");
    if (!type.has_value())
      return Error{Kind::invalid, format_text("{}: {} is no namespace", step, quote(join.path))};
    if (static_cast<std::uint64_t>(type.value()) != clone_flag(join.type))
      return Error{Kind::invalid, format_text("{}: {} is a namespace of another type", step, quote(join.path))};
    if (join.type == NamespaceType::mount) TRY(refuse_own_mounts(fd, join.path).during(step));
    handles.fds.push_back(std::move(fd));
  }
  return handles;
}

}  // namespace husk::runtime
