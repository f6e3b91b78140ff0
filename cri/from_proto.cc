#include "cri/from_proto.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/format.h"
#include "base/text.h"

namespace husk::cri {
namespace {

namespace v1 = runtime::v1;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

Error wrong(std::string_view field, std::string_view what) {
  return Error{Kind::invalid, format_text("{}: {}", field, what)};
}

std::string field_name(const std::string& prefix, const FieldDescriptor& field, int index) {
  auto name = (prefix.empty() ? "" : prefix + ".") + field.name();
  if (index >= 0) name += format_text("[{}]", index);
  return name;
}

Status check_value(const Message& message, const FieldDescriptor& field, int index, const std::string& prefix) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      if (field.type() == FieldDescriptor::TYPE_BYTES) return ok();
      std::string scratch;
      const auto& text = index < 0 ? reflection.GetStringReference(message, &field, &scratch)
                                   : reflection.GetRepeatedStringReference(message, &field, index, &scratch);
      const auto at = text.find('\0');
      if (at == std::string::npos) return ok();
      return wrong(field_name(prefix, field, index), format_text("a NUL byte at offset {}", at));
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value = index < 0 ? reflection.GetEnumValue(message, &field)
                                  : reflection.GetRepeatedEnumValue(message, &field, index);
      if (field.enum_type()->FindValueByNumber(value) != nullptr) return ok();
      return wrong(field_name(prefix, field, index), format_text("{} is no {}", value, field.enum_type()->name()));
    }
    default: return ok();
  }
}

Status check_fields(const Message& message, const std::string& prefix) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const int index = field->is_repeated() ? i : -1;
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        TRY(check_value(message, *field, index, prefix));
        continue;
      }
      const auto& inner = index < 0 ? reflection.GetMessage(message, field) : reflection.GetRepeatedMessage(message, field, i);
      TRY(check_fields(inner, field_name(prefix, *field, index)));
    }
  }
  return ok();
}

// Maps have no order on the wire: sorted, so that equal requests are equal.
StringMap sorted(const google::protobuf::Map<std::string, std::string>& map) {
  StringMap items{map.begin(), map.end()};
  std::ranges::sort(items);
  return items;
}

template <class Repeated>
std::vector<std::string> strings(const Repeated& from) {
  return {from.begin(), from.end()};
}

// 4294967295 means "no change" to the kernel. Source: CVE-2024-40635.
Result<std::uint32_t> user_id(std::int64_t value, std::string_view field) {
  if (value < 0 || value >= std::numeric_limits<std::uint32_t>::max())
    return wrong(field, format_text("{} is not between 0 and 4294967294", value));
  return static_cast<std::uint32_t>(value);
}

Result<std::optional<std::uint32_t>> find_user_id(bool given, const v1::Int64Value& value, std::string_view field) {
  if (!given) return std::optional<std::uint32_t>{};
  return std::optional{TRY(user_id(value.value(), field))};
}

template <class Repeated>
Result<std::vector<std::uint32_t>> groups(const Repeated& from) {
  std::vector<std::uint32_t> ids;
  for (const auto value : from) ids.push_back(TRY(user_id(value, "supplemental_groups")));
  return ids;
}

NamespaceMode mode(v1::NamespaceMode from) { return static_cast<NamespaceMode>(from); }

Status check_user_namespace(const v1::NamespaceOption& from) {
  if (!from.has_userns_options()) return ok();
  const auto& userns = from.userns_options();
  if (userns.mode() == v1::NamespaceMode::NODE) {
    if (userns.uids_size() != 0 || userns.gids_size() != 0) return wrong("userns_options", "NODE takes no mappings");
    return ok();
  }
  if (userns.mode() == v1::NamespaceMode::POD && userns.uids_size() == 0 && userns.gids_size() == 0) return ok();
  if (userns.mode() != v1::NamespaceMode::POD) return wrong("userns_options.mode", "only POD and NODE are possible");
  return Error{Kind::unsupported, "userns_options: pods in a user namespace of their own are not there yet"}.hint(
      "set hostUsers: true");
}

Result<NamespaceOptions> namespaces(const v1::NamespaceOption& from) {
  TRY(check_user_namespace(from));
  if (from.network() != v1::NamespaceMode::POD && from.network() != v1::NamespaceMode::NODE)
    return wrong("namespace_options.network", "only POD and NODE are possible");
  if (from.ipc() != v1::NamespaceMode::POD && from.ipc() != v1::NamespaceMode::NODE)
    return wrong("namespace_options.ipc", "only POD and NODE are possible");
  if (from.pid() == v1::NamespaceMode::TARGET && from.target_id().empty())
    return wrong("namespace_options.target_id", "is empty with pid TARGET");
  return NamespaceOptions{.network = mode(from.network()),
                          .pid = mode(from.pid()),
                          .ipc = mode(from.ipc()),
                          .target_id = from.target_id()};
}

SecurityProfile profile(const v1::SecurityProfile& from) {
  SecurityProfile into{.type = ProfileType::unconfined, .localhost_ref = from.localhost_ref()};
  if (from.profile_type() == v1::SecurityProfile::RuntimeDefault) into.type = ProfileType::runtime_default;
  if (from.profile_type() == v1::SecurityProfile::Localhost) into.type = ProfileType::localhost;
  return into;
}

// "", "runtime/default", "docker/default", "unconfined", "localhost/REF": the texts before profiles had types.
Result<std::optional<SecurityProfile>> old_profile(const std::string& text, std::string_view field) {
  constexpr std::string_view kLocalhost = "localhost/";
  std::optional<SecurityProfile> none;
  if (text.empty()) return none;
  if (text == "runtime/default" || text == "docker/default")
    return std::optional{SecurityProfile{.type = ProfileType::runtime_default, .localhost_ref = {}}};
  if (text == "unconfined") return std::optional{SecurityProfile{}};
  if (text.starts_with(kLocalhost))
    return std::optional{SecurityProfile{.type = ProfileType::localhost, .localhost_ref = text.substr(kLocalhost.size())}};
  return wrong(field, format_text("{} is neither runtime/default, unconfined nor localhost/…", quote(text)));
}

// The protocol marks these fields as deprecated; clients of before 1.30 send nothing else.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
const std::string& old_seccomp(const auto& security) { return security.seccomp_profile_path(); }
const std::string& old_apparmor(const v1::LinuxContainerSecurityContext& security) { return security.apparmor_profile(); }
#pragma GCC diagnostic pop

SelinuxOptions selinux(const v1::SELinuxOption& from) {
  return {.user = from.user(), .role = from.role(), .type = from.type(), .level = from.level()};
}

Result<PortMapping> port(const v1::PortMapping& from, int index) {
  const auto field = format_text("port_mappings[{}]", index);
  if (from.container_port() < 0 || from.container_port() > 65535)
    return wrong(field, format_text("container_port {} is not between 0 and 65535", from.container_port()));
  if (from.host_port() < 0 || from.host_port() > 65535)
    return wrong(field, format_text("host_port {} is not between 0 and 65535", from.host_port()));
  if (from.host_port() != 0 && from.container_port() == 0) return wrong(field, "host_port without container_port");
  static constexpr std::array kProtocols{"tcp", "udp", "sctp"};
  return PortMapping{.protocol = kProtocols.at(static_cast<std::size_t>(from.protocol())),
                     .container_port = static_cast<std::uint16_t>(from.container_port()),
                     .host_port = static_cast<std::uint16_t>(from.host_port()),
                     .host_ip = from.host_ip()};
}

// The runtime refuses these as well; here the error comes before anything is made.
Status check_cgroup_parent(const std::string& path) {
  if (path.empty()) return ok();
  const auto parts = split(path, '/');
  const bool is_slice_alone = path.ends_with(".slice") && parts.size() == 1;
  if ((!path.starts_with('/') && !is_slice_alone) || std::ranges::find(parts, "..") != parts.end() || path.size() > 4000)
    return wrong("linux.cgroup_parent", format_text("{} is not a plain absolute path", quote(path)));
  return ok();
}

Status read_pod_linux(const v1::LinuxPodSandboxConfig& from, PodConfig& into) {
  TRY(check_cgroup_parent(from.cgroup_parent()));
  into.cgroup_parent = from.cgroup_parent();
  into.sysctls = sorted(from.sysctls());
  for (const auto& [key, value] : into.sysctls)
    if (value.size() > 4096) return wrong("linux.sysctls", format_text("the value of {} is too long", quote(key)));
  const auto& security = from.security_context();
  into.namespaces = TRY(namespaces(security.namespace_options()));
  into.run_as_user = TRY(find_user_id(security.has_run_as_user(), security.run_as_user(), "run_as_user"));
  into.run_as_group = TRY(find_user_id(security.has_run_as_group(), security.run_as_group(), "run_as_group"));
  if (into.run_as_group.has_value() && !into.run_as_user.has_value())
    return wrong("run_as_group", "is given without run_as_user");
  into.supplemental_groups = TRY(groups(security.supplemental_groups()));
  into.readonly_rootfs = security.readonly_rootfs();
  into.privileged = security.privileged();
  into.selinux = selinux(security.selinux_options());
  if (security.has_seccomp()) {
    into.seccomp = profile(security.seccomp());
  } else {
    into.seccomp = TRY(old_profile(old_seccomp(security), "seccomp_profile_path"));
  }
  if (security.has_apparmor()) into.apparmor = profile(security.apparmor());
  return ok();
}

Result<MountRequest> mount(const v1::Mount& from, int index) {
  const auto field = format_text("config.mounts[{}]", index);
  if (from.uidmappings_size() != 0 || from.gidmappings_size() != 0)
    return Error{Kind::unsupported, format_text("{}: id-mapped mounts need a user namespace, which is not there yet", field)};
  if (from.mount_options_size() != 0)
    return Error{Kind::unsupported, format_text("{}: mount_options are not there yet", field)};
  if (from.container_path().empty()) return wrong(field, "container_path is empty");
  return MountRequest{.container_path = from.container_path(),
                      .host_path = from.host_path(),
                      .readonly = from.readonly(),
                      .selinux_relabel = from.selinux_relabel(),
                      .recursive_read_only = from.recursive_read_only(),
                      .propagation = static_cast<Propagation>(from.propagation()),
                      .image = from.image().image(),
                      .image_sub_path = from.image_sub_path(),
                      .image_ref = {}};
}

// UTF-8 per RFC 3629; config.json can carry nothing else.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80 ? 1 : byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0U) != 0x80) return false;
    i += length;
  }
  return true;
}

Result<std::vector<std::string>> environment(const v1::ContainerConfig& from) {
  std::vector<std::string> items;
  for (int i = 0; i < from.envs_size(); ++i) {
    const auto& item = from.envs(i);
    const auto field = format_text("config.envs[{}]", i);
    if (item.key().empty() || item.key().find('=') != std::string::npos) return wrong(field, "the key is empty or holds \"=\"");
    if (item.value().find('\0') != std::string::npos) return wrong(field, format_text("the value of {} holds a NUL byte", quote(item.key())));
    if (!is_utf8(item.value()))
      return Error{Kind::unsupported, format_text("{}: the value of {} is not UTF-8, which config.json cannot carry", field, quote(item.key()))}.hint(
          "encode it, or mount it as a file");
    items.push_back(item.key() + "=" + item.value());
  }
  return items;
}

Status read_container_security(const v1::LinuxContainerSecurityContext& from, ContainerConfig& into) {
  into.capabilities = {.add = strings(from.capabilities().add_capabilities()),
                       .drop = strings(from.capabilities().drop_capabilities()),
                       .add_ambient = strings(from.capabilities().add_ambient_capabilities())};
  into.privileged = from.privileged();
  into.namespaces = TRY(namespaces(from.namespace_options()));
  into.selinux = selinux(from.selinux_options());
  into.run_as_user = TRY(find_user_id(from.has_run_as_user(), from.run_as_user(), "run_as_user"));
  into.run_as_group = TRY(find_user_id(from.has_run_as_group(), from.run_as_group(), "run_as_group"));
  into.run_as_username = from.run_as_username();
  into.readonly_rootfs = from.readonly_rootfs();
  into.supplemental_groups = TRY(groups(from.supplemental_groups()));
  into.groups_policy =
      from.supplemental_groups_policy() == v1::SupplementalGroupsPolicy::Strict ? GroupsPolicy::strict : GroupsPolicy::merge;
  into.no_new_privileges = from.no_new_privs();
  into.masked_paths = strings(from.masked_paths());
  into.readonly_paths = strings(from.readonly_paths());
  for (const auto* list : {&into.masked_paths, &into.readonly_paths})
    for (const auto& path : *list)
      if (!path.starts_with('/')) return wrong("masked_paths and readonly_paths", format_text("{} is not absolute", quote(path)));
  if (from.has_seccomp()) {
    into.seccomp = profile(from.seccomp());
  } else {
    into.seccomp = TRY(old_profile(old_seccomp(from), "seccomp_profile_path"));
  }
  if (from.has_apparmor()) {
    into.apparmor = profile(from.apparmor());
  } else {
    into.apparmor = TRY(old_profile(old_apparmor(from), "apparmor_profile"));
  }
  return ok();
}

// x86 and ARM numbers of man 7 signal, in the order of the protocol.
constexpr std::array<int, 35> kSignals{0,  6,  14, 7,  17, 17, 18, 8,  1,  4,  2,  29, 6,  9,  13, 29, 27, 30,
                                       3,  11, 16, 19, 31, 15, 5,  20, 21, 22, 23, 10, 12, 26, 28, 24, 25};

}  // namespace

Status check_message(const Message& message) { return check_fields(message, ""); }

int signal_number(v1::Signal signal) {
  const auto value = static_cast<int>(signal);
  if (value < static_cast<int>(kSignals.size())) return kSignals.at(static_cast<std::size_t>(value));
  return 34 + (value - static_cast<int>(v1::Signal::SIGNAL_SIGRTMIN));  // RTMIN is 34, RTMAX 64: no gap
}

v1::Signal signal_value(int number) {
  if (number >= 34 && number <= 64) return static_cast<v1::Signal>(number - 34 + static_cast<int>(v1::Signal::SIGNAL_SIGRTMIN));
  // Of two names for one number the protocol's first, except CHLD before CLD and IO before POLL: also first.
  for (std::size_t i = 1; i < kSignals.size(); ++i)
    if (kSignals.at(i) == number) return static_cast<v1::Signal>(i);
  return v1::Signal::SIGNAL_RUNTIME_DEFAULT;
}

Result<PodConfig> from_proto(const v1::PodSandboxConfig& from, const std::string& runtime_handler) {
  PodConfig into;
  const auto& metadata = from.metadata();
  into.metadata = {.name = metadata.name(), .uid = metadata.uid(), .namespace_name = metadata.namespace_(), .attempt = metadata.attempt()};
  into.hostname = from.hostname();
  if (into.hostname.size() > 64) return wrong("hostname", "is longer than the kernel's 64 bytes");
  if (std::ranges::any_of(into.hostname, [](char c) { return c <= ' ' || c == '/' || c == 0x7f; }))
    return wrong("hostname", format_text("{} is not a host name", quote(into.hostname)));
  into.log_directory = from.log_directory();
  if (from.has_dns_config())
    into.dns = DnsConfig{.servers = strings(from.dns_config().servers()),
                         .searches = strings(from.dns_config().searches()),
                         .options = strings(from.dns_config().options())};
  for (int i = 0; i < from.port_mappings_size(); ++i) into.ports.push_back(TRY(port(from.port_mappings(i), i)));
  into.labels = sorted(from.labels());
  into.annotations = sorted(from.annotations());
  if (from.has_windows()) return Error{Kind::unsupported, "config.windows: this is Linux"};
  TRY(read_pod_linux(from.linux(), into));
  into.runtime_handler = runtime_handler;
  return into;
}

Result<ContainerConfig> from_proto(const v1::ContainerConfig& from) {
  ContainerConfig into;
  into.name = from.metadata().name();
  into.attempt = from.metadata().attempt();
  into.image = from.image().image();
  into.user_specified_image = from.image().user_specified_image();
  into.command = strings(from.command());
  into.args = strings(from.args());
  into.working_dir = from.working_dir();
  into.env = TRY(environment(from));
  for (int i = 0; i < from.mounts_size(); ++i) into.mounts.push_back(TRY(mount(from.mounts(i), i)));
  for (const auto& device : from.devices())
    into.devices.push_back({.container_path = device.container_path(), .host_path = device.host_path(), .permissions = device.permissions()});
  if (from.cdi_devices_size() != 0)
    return Error{Kind::unsupported, format_text("config.CDI_devices: {}: CDI is not there yet", quote(from.cdi_devices(0).name()))};
  into.labels = sorted(from.labels());
  into.annotations = sorted(from.annotations());
  into.log_path = from.log_path();
  into.stdin_open = from.stdin();
  into.stdin_once = from.stdin_once();
  into.tty = from.tty();
  into.stop_signal = signal_number(from.stop_signal());
  if (from.has_windows()) return Error{Kind::unsupported, "config.windows: this is Linux"};
  into.resources = TRY(from_proto(from.linux().resources()));
  TRY(read_container_security(from.linux().security_context(), into));
  return into;
}

Result<Resources> from_proto(const v1::LinuxContainerResources& from) {
  Resources into{.cpu_period = from.cpu_period(),
                 .cpu_quota = from.cpu_quota(),
                 .cpu_shares = from.cpu_shares(),
                 .memory_limit = from.memory_limit_in_bytes(),
                 .memory_swap_limit = from.memory_swap_limit_in_bytes(),
                 .oom_score_adj = from.oom_score_adj(),
                 .cpuset_cpus = from.cpuset_cpus(),
                 .cpuset_mems = from.cpuset_mems(),
                 .hugepage_limits = {},
                 .unified = sorted(from.unified())};
  for (const auto& [name, value] : {std::pair{"cpu_period", into.cpu_period}, std::pair{"cpu_shares", into.cpu_shares}})
    if (value < 0) return wrong(format_text("resources.{}", name), format_text("{} is negative", value));
  for (const auto& [name, value] : {std::pair{"cpu_quota", into.cpu_quota}, std::pair{"memory_limit_in_bytes", into.memory_limit},
                                    std::pair{"memory_swap_limit_in_bytes", into.memory_swap_limit}})
    if (value < -1) return wrong(format_text("resources.{}", name), format_text("{} is below -1", value));
  if (into.oom_score_adj < -1000 || into.oom_score_adj > 1000)
    return wrong("resources.oom_score_adj", format_text("{} is not between -1000 and 1000", into.oom_score_adj));
  for (const auto& [key, value] : into.unified)
    if (key.empty() || key.find('/') != std::string::npos || key.starts_with('.'))
      return wrong("resources.unified", format_text("{} is not a file of a cgroup", quote(key)));
  for (const auto& item : from.hugepage_limits()) into.hugepage_limits.push_back({.page_size = item.page_size(), .limit = item.limit()});
  return into;
}

Result<images::Credentials> from_proto(const v1::AuthConfig& from) {
  images::Credentials into{.username = from.username(),
                           .password = from.password(),
                           .identity_token = from.identity_token(),
                           .registry_token = from.registry_token(),
                           .server_address = from.server_address()};
  if (from.auth().empty()) return into;
  // Base64 of "name:password". Source: RFC 7617, docker's config.json.
  std::string text;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : from.auth()) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (c == '=' || c == '\n') continue;
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return wrong("auth.auth", "is not base64");
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    text.push_back(static_cast<char>(bits >> static_cast<unsigned>(count) & 0xffU));
  }
  const auto colon = text.find(':');
  if (colon == std::string::npos) return wrong("auth.auth", "holds no \"name:password\"");
  into.username = text.substr(0, colon);
  into.password = text.substr(colon + 1);
  while (into.password.ends_with('\0')) into.password.pop_back();
  return into;
}

}  // namespace husk::cri
