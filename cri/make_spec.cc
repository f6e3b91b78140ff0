#include "cri/make_spec.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/systemd/unit.h"

namespace husk::cri {
namespace {

constexpr std::string_view kAnnotation = "io.kubernetes.cri.";

void annotate(oci::Spec& spec, std::string_view key, const std::string& value) {
  spec.annotations.emplace_back(format_text("{}{}", kAnnotation, key), value);
}

void add_namespace(oci::Spec& spec, oci::NamespaceType type, std::string path = {}) {
  spec.linux.namespaces.push_back({.type = type, .path = std::move(path)});
}

std::string of_process(std::int32_t pid, std::string_view name) { return format_text("/proc/{}/ns/{}", pid, name); }

// Joins what the pod shares, makes what the container has for itself. Network and IPC are the pod's:
// a container that leaves them at their default gets them; asking for the host's needs a pod with it.
Status plan_namespaces(const ContainerInput& input, const HostFacts& host, oci::Spec& spec) {
  using enum oci::NamespaceType;
  const auto pause = input.pod.pause_pid;
  const auto& asked = input.config.namespaces;
  const auto& pod = input.pod.namespaces;
  for (const auto& [name, mine, of_pod] : {std::tuple{"network", asked.network, pod.network},
                                           std::tuple{"pid", asked.pid, pod.pid}, std::tuple{"ipc", asked.ipc, pod.ipc}})
    if (mine == NamespaceMode::node && of_pod != NamespaceMode::node)
      return Error{Kind::invalid, format_text("namespace_options.{} is NODE, but not in the pod", name)};
  add_namespace(spec, mount);
  if (pod.network != NamespaceMode::node) {
    add_namespace(spec, network, input.netns_path);
    add_namespace(spec, uts, of_process(pause, "uts"));
  }
  if (pod.ipc != NamespaceMode::node) add_namespace(spec, ipc, of_process(pause, "ipc"));
  switch (asked.pid) {
    case NamespaceMode::pod:
      if (pod.pid != NamespaceMode::node) add_namespace(spec, pid, of_process(pause, "pid"));
      break;
    case NamespaceMode::container: add_namespace(spec, pid); break;
    case NamespaceMode::target: add_namespace(spec, pid, of_process(input.target_pid, "pid")); break;
    case NamespaceMode::node: break;
  }
  if (host.cgroup2 && !input.config.privileged) add_namespace(spec, cgroup);
  return ok();
}

oci::DeviceRule device_rule(char type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                            std::string access) {
  return {.allow = true, .type = type, .major = major, .minor = minor, .access = std::move(access)};
}

// The nodes that every container has: null, zero, full, random, urandom, tty, console, pts, ptmx.
// Source: config-linux.md#default-devices. mknod of any node is allowed, using it is not.
std::vector<oci::DeviceRule> plan_device_rules(const ContainerInput& input) {
  std::vector<oci::DeviceRule> rules;
  if (input.config.privileged) {
    rules.push_back(device_rule('a', {}, {}, "rwm"));
    return rules;
  }
  rules.push_back({.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"});
  rules.push_back(device_rule('c', {}, {}, "m"));
  rules.push_back(device_rule('b', {}, {}, "m"));
  for (const auto minor : {3, 5, 7, 8, 9}) rules.push_back(device_rule('c', 1, minor, "rwm"));
  for (const auto minor : {0, 1, 2}) rules.push_back(device_rule('c', 5, minor, "rwm"));
  rules.push_back(device_rule('c', 136, {}, "rwm"));
  for (const auto& item : input.devices)
    rules.push_back(device_rule(item.device.type, item.device.major, item.device.minor, item.access));
  return rules;
}

std::optional<std::uint64_t> positive(std::int64_t value) {
  return value > 0 ? std::optional{static_cast<std::uint64_t>(value)} : std::nullopt;
}

}  // namespace

std::string container_cgroup(const std::string& parent, const std::string& id, const HostFacts& host) {
  if (!host.systemd_cgroup) return (parent == "/" ? "" : parent) + "/" + id;
  return format_text("{}:{}:{}", parent.substr(parent.rfind('/') + 1), host.scope_prefix, id);
}

Status check_parent_form(const std::string& parent, const HostFacts& host) {
  const bool is_slice = parent.ends_with(".slice");
  if (!host.systemd_cgroup && is_slice)
    return Error{Kind::invalid, format_text("linux.cgroup_parent: {} is a systemd slice, but the cgroup driver is cgroupfs", quote(parent))}.hint(
        "set kubelet's cgroupDriver to cgroupfs and parents like \"/kubepods/burstable/pod1\", or runtime.cgroup_driver = \"systemd\" in huskd.toml");
  if (!host.systemd_cgroup) return ok();
  const auto expanded = is_slice ? cgroups::systemd::expand_slice(parent.substr(parent.rfind('/') + 1)) : Result<std::string>{std::string{}};
  const bool is_named_alone = parent.find('/') == std::string::npos;
  if (is_slice && expanded.has_value() && (is_named_alone || expanded.value() == parent)) return ok();
  return Error{Kind::invalid, format_text("linux.cgroup_parent: {} is not the path of a slice, but the cgroup driver is systemd", quote(parent))}.hint(
      "a parent looks like \"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice\": each slice lies in the one its "
      "name begins with; or set kubelet's cgroupDriver and runtime.cgroup_driver to cgroupfs");
}

oci::Resources plan_resources(const Resources& from, const HostFacts& host) {
  oci::Resources into;
  oci::CpuLimits cpu;
  cpu.shares = positive(from.cpu_shares);
  cpu.period = positive(from.cpu_period);
  if (from.cpu_quota != 0) cpu.quota = from.cpu_quota;
  cpu.cpus = from.cpuset_cpus;
  cpu.mems = from.cpuset_mems;
  if (cpu.shares.has_value() || cpu.period.has_value() || cpu.quota.has_value() || !cpu.cpus.empty() || !cpu.mems.empty())
    into.cpu = cpu;
  oci::MemoryLimits memory;
  if (from.memory_limit != 0) memory.limit = from.memory_limit;
  if (from.memory_swap_limit != 0) memory.swap = from.memory_swap_limit;
  // kubelet expects that a memory limit without a swap limit means no swap. Source: KEP-2400 (swap).
  if (from.memory_swap_limit == 0 && from.memory_limit > 0 && host.swap_accounting) memory.swap = from.memory_limit;
  if (memory.limit.has_value() || memory.swap.has_value()) into.memory = memory;
  // kubelet sends a limit of 0 for every page size of the host, also where no controller could hold it to
  // that: those are left out, a limit that somebody asked for is not.
  for (const auto& limit : from.hugepage_limits)
    if (host.hugetlb || limit.limit != 0) into.hugepage_limits.push_back(limit);
  into.unified = from.unified;
  if (host.pids_limit > 0) into.pids_limit = host.pids_limit;
  return into;
}

Result<PodSysctls> plan_sysctls(const PodConfig& config, bool unprivileged_ports, bool unprivileged_ping) {
  PodSysctls plan;
  const bool host_network = config.namespaces.network == NamespaceMode::node;
  const bool host_ipc = config.namespaces.ipc == NamespaceMode::node;
  const auto is_ipc = [](std::string_view key) {
    return key.starts_with("kernel.shm") || key.starts_with("kernel.msg") || key == "kernel.sem" ||
           key.starts_with("fs.mqueue.");
  };
  for (const auto& [key, value] : config.sysctls) {
    const bool plain = !key.empty() && !key.starts_with('.') && !key.ends_with('.') &&
                       key.find("..") == std::string::npos && std::ranges::all_of(key, [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '_' || c == '-' || c == '.';
                       });
    if (!plain) return Error{Kind::invalid, format_text("sysctl {} is not a key with dots", quote(key))};
    const bool is_net = key.starts_with("net.");
    if (!is_net && !is_ipc(key))
      return Error{Kind::invalid, format_text("sysctl {} is not namespaced: it would change the whole host", quote(key))};
    if (is_net && host_network)
      return Error{Kind::invalid, format_text("sysctl {} is not allowed with the host's network", quote(key))};
    if (!is_net && host_ipc)
      return Error{Kind::invalid, format_text("sysctl {} is not allowed with the host's IPC", quote(key))};
    (is_net ? plan.network : plan.other).emplace_back(key, value);
  }
  const auto add_default = [&](const char* key, const char* value) {
    const bool given = std::ranges::any_of(plan.network, [&](const auto& item) { return item.first == key; });
    if (!host_network && !given) plan.network.emplace_back(key, value);
  };
  if (unprivileged_ports) add_default("net.ipv4.ip_unprivileged_port_start", "0");
  if (unprivileged_ping) add_default("net.ipv4.ping_group_range", "0 2147483647");
  return plan;
}

// pause: a program of ours that needs no capability, no device and no file.
Result<oci::Spec> make_sandbox_spec(const SandboxInput& input, const HostFacts& host) {
  using enum oci::NamespaceType;
  const auto& config = input.config;
  if (config.namespaces.pid == NamespaceMode::target)
    return Error{Kind::invalid, "namespace_options.pid: TARGET is for containers"};
  oci::Spec spec;
  spec.oci_version = oci::kSpecVersion;
  spec.root = oci::Root{.path = input.rootfs, .readonly = true};
  spec.mounts.push_back({.destination = "/proc", .type = "proc", .source = "proc", .options = {"nosuid", "noexec", "nodev"}});
  oci::Process process;
  process.args = {"/pause"};
  process.cwd = "/";
  process.user.uid = config.run_as_user.value_or(0);
  process.user.gid = config.run_as_group.value_or(0);
  process.user.additional_gids = config.supplemental_groups;
  process.capabilities = oci::Capabilities{};
  process.no_new_privileges = true;
  process.oom_score_adj = std::max(-998, host.lowest_oom_score_adj);
  spec.process = std::move(process);

  add_namespace(spec, mount);
  if (config.namespaces.network != NamespaceMode::node) {
    add_namespace(spec, network, input.netns_path);
    add_namespace(spec, uts);
    spec.hostname = input.hostname;
  }
  if (config.namespaces.ipc != NamespaceMode::node) add_namespace(spec, ipc);
  if (config.namespaces.pid != NamespaceMode::node) add_namespace(spec, pid);
  const auto sysctls = TRY(plan_sysctls(config, false, false));
  spec.linux.sysctl = sysctls.other;
  spec.linux.cgroups_path = container_cgroup(input.cgroup_parent, input.id, host);
  // The kernel's smallest share: pause only sleeps.
  spec.linux.resources.cpu = oci::CpuLimits{.shares = 2};
  spec.linux.resources.devices.push_back({.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"});
  spec.linux.seccomp = input.seccomp;
  annotate(spec, "container-type", "sandbox");
  annotate(spec, "sandbox-id", input.id);
  annotate(spec, "sandbox-name", config.metadata.name);
  annotate(spec, "sandbox-namespace", config.metadata.namespace_name);
  annotate(spec, "sandbox-uid", config.metadata.uid);
  return spec;
}

Result<oci::Spec> make_container_spec(const ContainerInput& input, const HostFacts& host) {
  const auto& config = input.config;
  if (config.privileged && !input.pod.privileged)
    return Error{Kind::invalid, "security_context.privileged: the pod is not privileged"};
  oci::Spec spec;
  spec.oci_version = oci::kSpecVersion;
  spec.root = oci::Root{.path = input.rootfs, .readonly = config.readonly_rootfs};
  spec.process = TRY(plan_process(input, host));
  spec.mounts = plan_mounts(input);
  TRY(plan_namespaces(input, host, spec));
  spec.linux.rootfs_propagation = plan_root_propagation(input.mounts);
  spec.linux.cgroups_path = container_cgroup(input.pod.cgroup_parent, input.id, host);
  spec.linux.resources = plan_resources(config.resources, host);
  spec.linux.resources.devices = plan_device_rules(input);
  for (const auto& item : input.devices) spec.linux.devices.push_back(item.device);
  if (!config.privileged) {
    spec.linux.masked_paths = config.masked_paths;
    spec.linux.readonly_paths = config.readonly_paths;
    spec.linux.seccomp = input.seccomp;
  }
  annotate(spec, "container-type", "container");
  annotate(spec, "sandbox-id", input.pod.id);
  annotate(spec, "sandbox-name", input.pod.metadata.name);
  annotate(spec, "sandbox-namespace", input.pod.metadata.namespace_name);
  annotate(spec, "sandbox-uid", input.pod.metadata.uid);
  annotate(spec, "container-name", config.name);
  return spec;
}

}  // namespace husk::cri
