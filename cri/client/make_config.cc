#include "cri/client/make_config.h"

#include <array>
#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/client/text/values.h"

namespace husk::pod {
namespace {

constexpr const char* kLogAnnotation = "husk.pod/log-directory";
constexpr const char* kDefaultLogs = "/var/log/husk/pods";

// As kubelet sends them for procMount Default. Source: kubelet, pkg/securitycontext.
constexpr std::array<const char*, 11> kMasked{
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts", "/proc/kcore",   "/proc/keys",   "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",   "/sys/firmware"};
constexpr std::array<const char*, 5> kReadOnly{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

std::string directory_name(const cri::PodSandboxMetadata& metadata) {
  return format_text("{}_{}_{}", metadata.namespace_(), metadata.name(), metadata.uid());
}

Status set_modes(const Options& options, cri::NamespaceOption& namespaces) {
  const auto network = options.value("network").value_or("pod");
  if (network != "pod" && network != "host")
    return Error{Kind::invalid, format_text("--network {} is not pod or host", quote(network))};
  namespaces.set_network(network == "host" ? cri::NODE : cri::POD);
  const auto pid = options.value("pid").value_or("container");
  if (pid != "container" && pid != "pod" && pid != "host")
    return Error{Kind::invalid, format_text("--pid {} is not container, pod or host", quote(pid))};
  namespaces.set_pid(pid == "host" ? cri::NODE : pid == "pod" ? cri::POD : cri::CONTAINER);
  namespaces.set_ipc(cri::POD);
  return ok();
}

template <class Map>
Status add_pairs(const Options& options, std::string_view name, Map& map) {
  for (const auto& text : options.values(name)) {
    const auto pair = TRY(parse_pair(text).during(format_text("--{}", name)));
    map[pair.first] = pair.second;
  }
  return ok();
}

Status add_ports(const Options& options, cri::PodSandboxConfig& config) {
  for (const auto& text : options.values("publish")) {
    const auto port = TRY(parse_port(text));
    auto& mapping = *config.add_port_mappings();
    mapping.set_host_ip(port.host_ip);
    mapping.set_host_port(port.host);
    mapping.set_container_port(port.container);
    mapping.set_protocol(port.protocol == PortProtocol::udp    ? cri::UDP
                         : port.protocol == PortProtocol::sctp ? cri::SCTP
                                                               : cri::TCP);
  }
  return ok();
}

Status add_environment(const Options& options, cri::ContainerConfig& config) {
  for (const auto& text : options.values("env")) {
    auto name = text;
    std::string value;
    if (const auto equals = text.find('='); equals != std::string::npos) {
      name = text.substr(0, equals);
      value = text.substr(equals + 1);
    } else if (const char* ours = std::getenv(text.c_str())) {
      value = ours;
    } else {
      continue;  // not set here either
    }
    if (name.empty()) return Error{Kind::invalid, format_text("--env {} has no name", quote(text))};
    auto& item = *config.add_envs();
    item.set_key(name);
    item.set_value(value);
  }
  return ok();
}

Status add_mounts(const Options& options, cri::ContainerConfig& config) {
  const auto directory = TRY(sys::getcwd());
  for (const auto& text : options.values("volume")) {
    const auto volume = TRY(parse_volume(text, directory));
    auto& mount = *config.add_mounts();
    mount.set_host_path(volume.source);
    mount.set_container_path(volume.target);
    mount.set_readonly(volume.read_only);
  }
  return ok();
}

Status set_resources(const Options& options, cri::LinuxContainerResources& resources) {
  if (const auto memory = options.value("memory")) {
    const auto bytes = TRY(parse_size(*memory).during("--memory"));
    resources.set_memory_limit_in_bytes(bytes);
  }
  if (const auto cpus = options.value("cpus")) {
    const auto quota = TRY(parse_cpus(*cpus).during("--cpus"));
    resources.set_cpu_period(100'000);
    resources.set_cpu_quota(quota);
  }
  return ok();
}

Status set_user(const Options& options, cri::LinuxContainerSecurityContext& security) {
  const auto text = options.value("user");
  if (!text.has_value()) return ok();
  const auto user = TRY(parse_user(*text));
  if (user.uid >= 0) security.mutable_run_as_user()->set_value(user.uid);
  if (user.uid < 0) security.set_run_as_username(user.name);
  if (user.gid >= 0) security.mutable_run_as_group()->set_value(user.gid);
  return ok();
}

Status set_security(const Options& options, cri::LinuxContainerSecurityContext& security) {
  TRY(set_modes(options, *security.mutable_namespace_options()));
  TRY(set_user(options, security));
  const bool privileged = options.has("privileged");
  security.set_privileged(privileged);
  security.set_readonly_rootfs(options.has("read-only"));
  security.set_no_new_privs(options.has("no-new-privileges"));
  for (const auto& name : options.values("cap-add")) security.mutable_capabilities()->add_add_capabilities(name);
  for (const auto& name : options.values("cap-drop")) security.mutable_capabilities()->add_drop_capabilities(name);
  if (privileged) return ok();
  security.mutable_seccomp()->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  for (const auto* path : kMasked) security.add_masked_paths(path);
  for (const auto* path : kReadOnly) security.add_readonly_paths(path);
  return ok();
}

}  // namespace

Result<cri::PodSandboxConfig> make_pod_config(const Options& options) {
  cri::PodSandboxConfig config;
  auto& metadata = *config.mutable_metadata();
  const auto generated = format_text("{}-{}", short_image_name(options.words().front()), random_hex(3));
  metadata.set_name(options.value("name").value_or(generated));
  metadata.set_uid(random_hex(16));
  metadata.set_namespace_(options.value("namespace").value_or("default"));
  for (const auto& part : {metadata.name(), metadata.namespace_()})
    if (part.empty() || part.find('/') != std::string::npos || part.starts_with('.'))
      return Error{Kind::invalid, format_text("{} cannot be the name of a pod or a namespace", quote(part))};
  auto& linux_part = *config.mutable_linux();
  auto& security = *linux_part.mutable_security_context();
  TRY(set_modes(options, *security.mutable_namespace_options()));
  security.set_privileged(options.has("privileged"));
  security.mutable_seccomp()->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  if (security.namespace_options().network() != cri::NODE)
    config.set_hostname(options.value("hostname").value_or(metadata.name().substr(0, 63)));
  const auto logs = TRY(absolute_path(options.value("log-dir").value_or(kDefaultLogs)));
  config.set_log_directory(logs + "/" + directory_name(metadata));
  (*config.mutable_annotations())[kLogAnnotation] = config.log_directory();
  TRY(add_pairs(options, "label", *config.mutable_labels()));
  TRY(add_pairs(options, "sysctl", *linux_part.mutable_sysctls()));
  TRY(add_ports(options, config));
  for (const auto& server : options.values("dns")) config.mutable_dns_config()->add_servers(server);
  linux_part.set_cgroup_parent(options.value("cgroup-parent").value_or(""));
  return config;
}

Result<cri::ContainerConfig> make_container_config(const Options& options) {
  cri::ContainerConfig config;
  const auto& words = options.words();
  const auto name = options.value("name").value_or(short_image_name(words.front()));
  if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.'))
    return Error{Kind::invalid, format_text("{} cannot be the name of a container", quote(name))};
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(words.front());
  config.mutable_image()->set_user_specified_image(words.front());
  if (const auto entrypoint = options.value("entrypoint")) config.add_command(*entrypoint);
  for (std::size_t i = 1; i < words.size(); ++i) config.add_args(words[i]);
  config.set_working_dir(options.value("workdir").value_or(""));
  config.set_log_path(name + "/0.log");
  TRY(add_environment(options, config));
  TRY(add_mounts(options, config));
  TRY(add_pairs(options, "label", *config.mutable_labels()));
  auto& linux_part = *config.mutable_linux();
  TRY(set_resources(options, *linux_part.mutable_resources()));
  TRY(set_security(options, *linux_part.mutable_security_context()));
  return config;
}

cri::PodSandboxConfig config_of(const cri::PodSandboxStatus& status) {
  cri::PodSandboxConfig config;
  *config.mutable_metadata() = status.metadata();
  *config.mutable_labels() = status.labels();
  *config.mutable_annotations() = status.annotations();
  const auto found = status.annotations().find(kLogAnnotation);
  if (found != status.annotations().end()) config.set_log_directory(found->second);
  *config.mutable_linux()->mutable_security_context()->mutable_namespace_options() = status.linux().namespaces().options();
  return config;
}

std::string own_log_directory(const cri::PodSandbox& pod) {
  const auto found = pod.annotations().find(kLogAnnotation);
  if (found == pod.annotations().end()) return "";
  const auto& path = found->second;
  const auto slash = path.rfind('/');
  if (!path.starts_with('/') || path.find("/../") != std::string::npos) return "";
  return path.substr(slash + 1) == directory_name(pod.metadata()) ? path : "";
}

}  // namespace husk::pod
