#include <algorithm>

#include "oci-spec/parse_config.h"
#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

bool has_component(std::string_view path, std::string_view component) {
  return std::ranges::any_of(split(path, '/'), [&](std::string_view part) { return part == component; });
}

// config-linux.md#configLinuxDevices
Status check_devices(const std::vector<Device>& devices) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const auto& device = devices[i];
    const auto pointer = format_text("/linux/devices/{}", i);
    TRY(check_absolute(at(pointer, "path"), device.path));
    const bool numbered = device.major >= 0 && device.major <= kMaxMajor && device.minor >= 0 && device.minor <= kMaxMinor;
    if (device.type != 'p' && !numbered)
      return rule_error(pointer, format_text("{}:{} is no device number", device.major, device.minor));
  }
  return ok();
}

// config-linux.md#configLinuxCgroupsPath lets a runtime refuse values. "slice:prefix:name" is the
// systemd driver's form.
Status check_cgroups_path(const std::string& path) {
  if (has_component(path, "..")) return rule_error("/linux/cgroupsPath", format_text("{} must not contain \"..\"", quote(path)));
  return check_one_line("/linux/cgroupsPath", path);
}

// config-linux.md#configLinuxIntelRdt; closID becomes a directory name below resctrl, "/" is its root.
Status check_intel_rdt(const IntelRdt& rdt) {
  const bool safe = rdt.clos_id == "/" || (rdt.clos_id.find('/') == std::string::npos && rdt.clos_id != "." && rdt.clos_id != "..");
  if (!safe) return rule_error("/linux/intelRdt/closID", format_text("{} is no directory name", quote(rdt.clos_id)));
  TRY(check_one_line("/linux/intelRdt/closID", rdt.clos_id));
  TRY(check_one_line("/linux/intelRdt/memBwSchema", rdt.mem_bw_schema));
  if (!rdt.mem_bw_schema.empty() && !rdt.mem_bw_schema.starts_with("MB:"))
    return rule_error("/linux/intelRdt/memBwSchema", "must start with \"MB:\"");
  for (std::size_t i = 0; i < rdt.schemata.size(); ++i)
    TRY(check_one_line(format_text("/linux/intelRdt/schemata/{}", i), rdt.schemata[i]));
  return ok();
}

// config-linux.md#configLinuxMemoryPolicy; which modes want nodes: man 2 set_mempolicy.
Status check_memory_policy(const MemoryPolicy& policy) {
  constexpr std::string_view kPlace = "/linux/memoryPolicy";
  TRY(check_word(at(kPlace, "mode"), policy.mode, kMemoryPolicyModes));
  TRY(check_words(kPlace, "flags", policy.flags, kMemoryPolicyFlags));
  TRY(check_cpu_list(at(kPlace, "nodes"), policy.nodes));
  const bool without = policy.mode == "MPOL_DEFAULT" || policy.mode == "MPOL_LOCAL";
  if (without && !policy.nodes.empty()) return rule_error(at(kPlace, "nodes"), format_text("must be empty for {}", policy.mode));
  if (!without && policy.mode != "MPOL_PREFERRED" && policy.nodes.empty())
    return rule_error(at(kPlace, "nodes"), format_text("is required for {}", policy.mode));
  const auto has = [&](std::string_view flag) { return std::ranges::find(policy.flags, flag) != policy.flags.end(); };
  if (has("MPOL_F_RELATIVE_NODES") && has("MPOL_F_STATIC_NODES"))
    return rule_error(at(kPlace, "flags"), "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other");
  return ok();
}

Status check_personality(const Personality& personality) {
  constexpr std::string_view kPlace = "/linux/personality";
  TRY(check_word(at(kPlace, "domain"), personality.domain, kPersonalityDomains));
  return check_words(kPlace, "flags", personality.flags, kPersonalityFlags);
}

Status check_paths(std::string_view pointer, const std::vector<std::string>& paths) {
  for (std::size_t i = 0; i < paths.size(); ++i) TRY(check_absolute(format_text("{}/{}", pointer, i), paths[i]));
  return ok();
}

}  // namespace

Status validate_linux(const Spec& spec) {
  const auto& linux_part = spec.linux;
  TRY(check_devices(linux_part.devices));
  TRY(check_cgroups_path(linux_part.cgroups_path));
  TRY(validate_resources(linux_part.resources, "/linux/resources"));
  if (linux_part.intel_rdt.has_value()) TRY(check_intel_rdt(*linux_part.intel_rdt));
  if (linux_part.memory_policy.has_value()) TRY(check_memory_policy(*linux_part.memory_policy));
  if (linux_part.seccomp.has_value()) TRY(validate_seccomp(*linux_part.seccomp, "/linux/seccomp"));
  if (!linux_part.rootfs_propagation.empty())
    TRY(check_word("/linux/rootfsPropagation", linux_part.rootfs_propagation, kPropagations));
  TRY(check_paths("/linux/maskedPaths", linux_part.masked_paths));
  TRY(check_paths("/linux/readonlyPaths", linux_part.readonly_paths));
  if (linux_part.personality.has_value()) TRY(check_personality(*linux_part.personality));
  return ok();
}

}  // namespace husk::oci
