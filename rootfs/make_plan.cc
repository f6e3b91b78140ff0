#include <linux/mount.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {
namespace {

using oci::NamespaceType;

// config-linux.md#default-devices; console and ptmx are made elsewhere.
struct DefaultDevice {
  const char* path;
  std::int64_t major;
  std::int64_t minor;
};
constexpr std::array kDefaultDevices{DefaultDevice{"/dev/null", 1, 3},   DefaultDevice{"/dev/zero", 1, 5},
                                     DefaultDevice{"/dev/full", 1, 7},   DefaultDevice{"/dev/random", 1, 8},
                                     DefaultDevice{"/dev/urandom", 1, 9}, DefaultDevice{"/dev/tty", 5, 0}};

struct Propagation {
  std::string_view name;
  std::uint64_t flags;
};
// Without a value the rootfs follows the host's mounts and tells it nothing, as other runtimes do.
constexpr std::array kPropagations{
    Propagation{"", MS_SLAVE | MS_REC},           Propagation{"private", MS_PRIVATE},
    Propagation{"rprivate", MS_PRIVATE | MS_REC}, Propagation{"slave", MS_SLAVE},
    Propagation{"rslave", MS_SLAVE | MS_REC},     Propagation{"shared", MS_SHARED},
    Propagation{"rshared", MS_SHARED | MS_REC},   Propagation{"unbindable", MS_UNBINDABLE},
    Propagation{"runbindable", MS_UNBINDABLE | MS_REC}};

Result<std::uint64_t> parse_propagation(const std::string& name) {
  for (const auto& row : kPropagations)
    if (row.name == name) return row.flags;
  return Error{Kind::invalid, format_text("\"/linux/rootfsPropagation\": {} is not shared, slave, private or "
                                          "unbindable", quote(name))};
}

Status plan_id_map(const oci::Spec& spec, MountOp& op) {
  if (!op.id_map || !op.uid_mappings.empty() || !op.gid_mappings.empty()) return ok();
  op.uid_mappings = spec.linux.uid_mappings;
  op.gid_mappings = spec.linux.gid_mappings;
  const auto* user = spec.find_namespace(NamespaceType::user);
  if (op.uid_mappings.empty() && user != nullptr) op.id_map_path = user->path;
  if (op.uid_mappings.empty() && op.id_map_path.empty())
    return Error{Kind::invalid, format_text("{}: the mount is to be idmapped but nothing says how", quote(op.pointer))}
        .hint("add uidMappings and gidMappings to it, or a user namespace");
  return ok();
}

// "cgroup" is what the host has. On v2 a mount of one's own needs a cgroup namespace: without one it
// would show the host's whole tree and reset its mount options (nsdelegate, memory_recursiveprot), so
// the host's mount is bound. CVE-2023-25809: what a user namespace without a cgroup namespace of its own
// sees is the host's, and therefore read-only.
void plan_cgroup(const RootfsPlan& plan, bool cgroup2, MountOp& op) {
  const bool foreign = plan.bind_devices && !plan.cgroup_namespace;
  if (foreign) {
    op.recursive_set |= MOUNT_ATTR_RDONLY;
    op.recursive_clear &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    op.attributes_clear &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  }
  if (!cgroup2 && op.type == "cgroup") return;
  op.act = Act::fresh;
  op.type = "cgroup2";
  if (plan.cgroup_namespace) return;
  op.act = Act::bind;
  op.type.clear();
  op.from = "/sys/fs/cgroup";
  op.recursive_bind = true;
  op.settings.clear();
}

// What the mount does not say comes from the rootfs. A fresh mount is private as it is made.
void set_default_propagation(const RootfsPlan& plan, MountOp& op) {
  if (op.propagation != 0 || op.act == Act::remount) return;
  const bool all_shared = plan.root_propagation == (MS_SHARED | MS_REC);
  if (op.act != Act::bind && !all_shared) return;
  op.propagation = all_shared ? MS_SHARED : (plan.root_propagation & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE;
  op.propagation_recursive = true;
}

// config-linux.md#mount-label. The kernel labels proc, sysfs and cgroups by its policy and takes no context= there;
// a bind shows files that have labels; and what the configuration itself says of a mount wins.
void plan_label(const std::string& label, MountOp& op) {
  if (op.act != Act::fresh && op.act != Act::cgroup) return;
  for (const auto& [key, value] : op.settings)
    if (key.ends_with("context")) return;
  for (const auto* type : {"proc", "sysfs", "cgroup2"})
    if (op.type == type) return;
  op.label = label;
}

Result<MountOp> plan_one(const oci::Spec& spec, const PlanOptions& options, const RootfsPlan& plan, std::size_t index) {
  auto op = TRY(plan_mount(spec.mounts[index], format_text("{}/{}", options.mounts_pointer, index)));
  TRY(plan_id_map(spec, op));
  if (op.act == Act::bind && !op.from.starts_with('/')) op.from = options.bundle + "/" + op.from;
  if (op.act == Act::cgroup || (op.act == Act::fresh && op.type == "cgroup2")) plan_cgroup(plan, options.cgroup2, op);
  plan_label(spec.linux.mount_label, op);
  set_default_propagation(plan, op);
  return op;
}

bool has_device(const std::vector<oci::Device>& devices, std::string_view path) {
  return std::ranges::any_of(devices, [&](const auto& device) { return clean_path(device.path) == path; });
}

void plan_devices(const oci::Spec& spec, RootfsPlan& plan) {
  for (const auto& op : plan.mounts)
    if (op.act == Act::bind && op.to == "/dev") plan.default_devices = false;
  if (plan.default_devices)
    for (const auto& item : kDefaultDevices)
      if (!has_device(spec.linux.devices, item.path))
        plan.devices.push_back({.type = 'c', .path = item.path, .major = item.major, .minor = item.minor});
  for (std::size_t i = 0; i < spec.linux.devices.size(); ++i) {
    auto device = spec.linux.devices[i];
    device.path = clean_path(device.path);
    plan.device_pointers[device.path] = format_text("/linux/devices/{}", i);
    if (device.type == 'u') device.type = 'c';
    // A /dev that is bound has the host's nodes: nothing is made there, it would appear on the host.
    if (plan.default_devices || !is_below(device.path, "/dev")) plan.devices.push_back(std::move(device));
  }
}

// Clean, as the destinations of mounts: what is below "/proc" or "/sys" is known by its name, and "/sys/../proc/kcore"
// would be looked for in the sysfs.
Result<std::vector<std::string>> clean_paths(const std::vector<std::string>& paths, std::string_view pointer) {
  std::vector<std::string> cleaned;
  for (const auto& path : paths) {
    cleaned.push_back(clean_path(path));
    if (!path.starts_with('/') || path.find('\0') != std::string::npos || cleaned.back() == "/")
      return Error{Kind::invalid, format_text("{}: {} is not the absolute path of something inside the rootfs",
                                              quote(pointer), quote(path))};
  }
  return cleaned;
}

}  // namespace

Result<RootfsPlan> make_plan(const oci::Spec& spec, const PlanOptions& options) {
  if (!spec.root.has_value() || spec.root->path.empty() || spec.root->path.find('\0') != std::string::npos)
    return Error{Kind::invalid, "\"/root/path\": is missing"};
  const auto& path = spec.root->path;
  RootfsPlan plan{.rootfs = path.starts_with('/') ? path : options.bundle + "/" + path,
                  .readonly_root = spec.root->readonly,
                  .no_pivot = options.no_pivot,
                  .bind_devices = options.new_user_namespace,
                  .console = spec.process.has_value() && spec.process->terminal,
                  .cgroup_namespace = spec.find_namespace(NamespaceType::cgroup) != nullptr,
                  .mount_label = spec.linux.mount_label};
  plan.masked_paths = TRY(clean_paths(spec.linux.masked_paths, "/linux/maskedPaths"));
  plan.readonly_paths = TRY(clean_paths(spec.linux.readonly_paths, "/linux/readonlyPaths"));
  const auto* own = spec.find_namespace(NamespaceType::mount);
  plan.joined = own != nullptr && !own->path.empty();
  plan.root_propagation = TRY(parse_propagation(spec.linux.rootfs_propagation));
  plan.mounts.reserve(spec.mounts.size());
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) plan.mounts.push_back(TRY(plan_one(spec, options, plan, i)));
  plan_devices(spec, plan);
  return plan;
}

}  // namespace husk::rootfs
