#include <algorithm>

#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

// config-linux.md#configLinuxNamespaces
Status check_list(const Linux& linux_part) {
  std::vector<NamespaceType> seen;
  for (std::size_t i = 0; i < linux_part.namespaces.size(); ++i) {
    const auto& item = linux_part.namespaces[i];
    const auto pointer = format_text("/linux/namespaces/{}", i);
    if (std::ranges::find(seen, item.type) != seen.end())
      return rule_error(pointer, format_text("duplicate namespace \"{}\"", namespace_name(item.type)));
    seen.push_back(item.type);
    if (!item.path.empty()) TRY(check_absolute(at(pointer, "path"), item.path));
  }
  return ok();
}

// config-linux.md#configLinuxUserNamespaceMappings. A new user namespace without mappings would leave
// the process with overflow ids only; a joined one has its own.
Status check_mappings(const Spec& spec) {
  const auto& linux_part = spec.linux;
  const bool any = !linux_part.uid_mappings.empty() || !linux_part.gid_mappings.empty();
  const auto* user = spec.find_namespace(NamespaceType::user);
  if (user == nullptr && any)
    return rule_error(linux_part.uid_mappings.empty() ? "/linux/gidMappings" : "/linux/uidMappings",
                      "needs a \"user\" namespace");
  if (user != nullptr && user->path.empty() && (linux_part.uid_mappings.empty() || linux_part.gid_mappings.empty()))
    return rule_error(linux_part.uid_mappings.empty() ? "/linux/uidMappings" : "/linux/gidMappings",
                      "is required for a new user namespace");
  TRY(check_id_mappings("/linux/uidMappings", linux_part.uid_mappings));
  return check_id_mappings("/linux/gidMappings", linux_part.gid_mappings);
}

Status check_time(const Spec& spec) {
  constexpr std::uint32_t kNanoseconds = 1'000'000'000;
  const auto& linux_part = spec.linux;
  if (!linux_part.time_offset_monotonic.has_value() && !linux_part.time_offset_boottime.has_value()) return ok();
  const auto* time = spec.find_namespace(NamespaceType::time);
  if (time == nullptr) return rule_error("/linux/timeOffsets", "needs a \"time\" namespace");
  // man 7 time_namespaces: offsets can only be written before the first process enters.
  if (!time->path.empty()) return rule_error("/linux/timeOffsets", "needs a new \"time\" namespace, not one to join");
  for (const auto* offset : {&linux_part.time_offset_monotonic, &linux_part.time_offset_boottime})
    if (offset->has_value() && (*offset)->nanoseconds >= kNanoseconds)
      return rule_error("/linux/timeOffsets", format_text("{} nanoseconds are a second or more", (*offset)->nanoseconds));
  return ok();
}

// man 7 netdevice: at most 15 bytes, no "/", no white space, no ":".
bool is_interface_name(std::string_view name) {
  constexpr std::size_t kMaxName = 15;
  const auto bad = [](char c) { return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; };
  return !name.empty() && name.size() <= kMaxName && name != "." && name != ".." && std::ranges::none_of(name, bad);
}

// "%d" asks the kernel for a free number; any other "%" is refused by it.
bool is_interface_template(std::string_view name) {
  const auto percent = name.find('%');
  return is_interface_name(name) && (percent == std::string_view::npos ||
                                     (name.substr(percent, 2) == "%d" && name.find('%', percent + 1) == std::string_view::npos));
}

// config-linux.md#configLinuxNetworkDevices
Status check_net_devices(const Spec& spec) {
  std::vector<std::string_view> targets;
  for (const auto& device : spec.linux.net_devices) {
    if (spec.find_namespace(NamespaceType::network) == nullptr)
      return rule_error("/linux/netDevices", "needs a \"network\" namespace");
    if (!is_interface_name(device.host_name) || device.host_name.find('%') != std::string::npos)
      return rule_error("/linux/netDevices", format_text("{} is no interface name", quote(device.host_name)));
    const std::string_view target = device.name.empty() ? device.host_name : device.name;
    if (!is_interface_template(target))
      return rule_error("/linux/netDevices", format_text("{} is no interface name", quote(target)));
    if (target.find('%') == std::string_view::npos && std::ranges::find(targets, target) != targets.end())
      return rule_error("/linux/netDevices", format_text("two devices get the name {}", quote(target)));
    targets.push_back(target);
  }
  return ok();
}

}  // namespace

Status validate_namespaces(const Spec& spec) {
  TRY(check_list(spec.linux));
  TRY(check_mappings(spec));
  TRY(check_time(spec));
  return check_net_devices(spec);
}

}  // namespace husk::oci
