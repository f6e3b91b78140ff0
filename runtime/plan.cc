#include "plan.h"

#include <algorithm>

#include "annotations.h"
#include "base/format.h"
#include "base/text.h"
#include "oci-spec/names.h"
#include "rootless.h"

namespace husk::runtime {
namespace {

Status check_terminal(const oci::Spec& spec, const CreateOptions& options) {
  const bool terminal = spec.process.has_value() && spec.process->terminal;
  if (terminal && options.console_socket.empty() && !options.foreground)
    return Error{Kind::invalid, "cannot allocate tty if husk will detach without setting console socket"}.hint(
        "give --console-socket, or set process.terminal to false");
  if (!terminal && !options.console_socket.empty())
    return Error{Kind::invalid, "cannot use console socket if husk will not detach or allocate tty"}.hint(
        "set process.terminal to true, or leave --console-socket out");
  return ok();
}

Status check_namespaces(const oci::Spec& spec) {
  using oci::NamespaceType;
  if (!spec.hostname.empty() && spec.find_namespace(NamespaceType::uts) == nullptr)
    return Error{Kind::invalid, "\"/hostname\": needs a uts namespace of the container's own"};
  if (!spec.domainname.empty() && spec.find_namespace(NamespaceType::uts) == nullptr)
    return Error{Kind::invalid, "\"/domainname\": needs a uts namespace of the container's own"};
  if (spec.find_namespace(NamespaceType::mount) == nullptr)
    return Error{Kind::unsupported, "\"/linux/namespaces\": a container without a mount namespace is not supported"}.hint(
        "add {\"type\": \"mount\"}: its mounts would be made on the host");
  return ok();
}

// Not with a user namespace that is joined: its mappings are not ours to know, and the same numbers on the
// host belong to somebody else.
bool has_writable_cgroup(const oci::Spec& spec) {
  const auto* item = spec.find_namespace(oci::NamespaceType::cgroup);
  if (item == nullptr || !item->path.empty()) return false;
  const auto* user = spec.find_namespace(oci::NamespaceType::user);
  if (user != nullptr && !user->path.empty()) return false;
  for (const auto& mount : spec.mounts) {
    if (mount.type != "cgroup" && mount.type != "cgroup2") continue;
    const auto& options = mount.options;
    return std::find(options.begin(), options.end(), "ro") == options.end();
  }
  return false;
}

}  // namespace

Result<cgroups::Plan> plan_cgroup(const oci::Spec& spec, const std::string& id, cgroups::Driver driver) {
  const bool unnamed = spec.linux.cgroups_path.empty() && driver == cgroups::Driver::cgroupfs;
  const auto path = unnamed ? find_delegated_cgroup(id) : spec.linux.cgroups_path;
  auto plan = TRY(cgroups::make_plan(path, spec.linux.resources, id, driver,
                                     {.manager = is_rootless() ? cgroups::systemd::Manager::user : cgroups::systemd::Manager::system,
                                      .annotations = spec.annotations}));
  // The kernel takes device rules of v1 from the host's root alone; a filter of v2 is tried (restrict_devices).
  // Source: devcgroup_update_access() in security/device_cgroup.c.
  if (plan.version == cgroups::Version::v1 && driver == cgroups::Driver::cgroupfs && is_in_user_namespace()) plan.device_rules.clear();
  return plan;
}

Result<ContainerPlan> make_container_plan(const oci::Spec& spec, const CreateOptions& options,
                                          const SeccompCache* filters) {
  TRY(check_terminal(spec, options));
  TRY(check_namespaces(spec));
  TRY(check_annotations(spec.annotations));
  if (!spec.root.has_value()) return Error{Kind::invalid, "\"/root\": is missing"};
  ContainerPlan plan{.id = options.id.text(), .bundle = options.bundle};
  plan.namespaces = TRY(plan_namespaces(spec));
  plan.cgroup = TRY(plan_cgroup(spec, plan.id, options.driver));
  plan.rootfs = TRY(rootfs::make_plan(spec, {.bundle = options.bundle,
                                             .no_pivot = options.no_pivot,
                                             .new_user_namespace = spec.find_namespace(oci::NamespaceType::user) != nullptr,
                                             .cgroup2 = plan.cgroup.version == cgroups::Version::v2}));
  if (const auto* type = find_annotation(spec.annotations, kMountContextType); type != nullptr)
    for (auto& op : plan.rootfs.mounts) op.label_option = *type;
  plan.net_devices = spec.linux.net_devices;
  plan.sysctls = TRY(plan_sysctls(spec));
  if (spec.process.has_value())
    plan.process = TRY(make_process_plan(*spec.process, spec.linux,
                                         {.container_id = plan.id, .new_keyring = options.new_keyring, .filters = filters, .annotations = spec.annotations}));
  plan.hostname = spec.hostname;
  plan.domainname = spec.domainname;
  plan.hooks = spec.hooks;
  plan.annotations = spec.annotations;
  plan.delegate_cgroup = has_writable_cgroup(spec);
  return plan;
}

std::string plan_text(const ContainerPlan& plan) {
  std::string text = format_text("container {}\nbundle {}\n", plan.id, plan.bundle);
  text += format_text("namespaces: clone3 flags {:#x}{}{}\n", plan.namespaces.clone_flags,
                      plan.namespaces.new_cgroup ? ", new cgroup" : "", plan.namespaces.new_time ? ", new time" : "");
  for (const auto& join : plan.namespaces.joins)
    text += format_text("  join {} {}\n", oci::namespace_name(join.type), join.path);
  text += format_text("cgroup {}\n", plan.cgroup.path);
  if (plan.cgroup.scope.has_value())
    for (const auto& property : plan.cgroup.scope->properties)
      text += format_text("  {} = {} {}\n", property.name, property.signature, join(property.values, " "));
  for (const auto& file : plan.cgroup.files) text += format_text("  {} = {}\n", file.name, file.value);
  text += format_text("rootfs {}{}\n", plan.rootfs.rootfs, plan.rootfs.readonly_root ? " (read-only)" : "");
  for (const auto& mount : plan.rootfs.mounts)
    text += format_text("  mount {} {} on {}\n", mount.type.empty() ? "bind" : mount.type, mount.from, mount.to);
  for (const auto& path : plan.rootfs.masked_paths) text += format_text("  mask {}\n", path);
  for (const auto& path : plan.rootfs.readonly_paths) text += format_text("  read-only {}\n", path);
  for (const auto& item : plan.sysctls) text += format_text("sysctl {} = {}\n", item.key, item.value);
  if (!plan.process.has_value()) return text + "no process\n";
  text += format_text("user {}:{}, no_new_privs {}, seccomp {} instructions\n", plan.process->uid, plan.process->gid,
                      plan.process->no_new_privileges, plan.process->seccomp ? plan.process->seccomp->program.size() : 0);
  return text + format_text("exec {}\n", join(plan.process->args, " "));
}

}  // namespace husk::runtime
