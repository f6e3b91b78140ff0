#include "capabilities.h"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/format.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

// In bit order, as in linux/capability.h.
constexpr std::array<std::string_view, 41> kNames{
    "chown",          "dac_override", "dac_read_search",  "fowner",        "fsetid",       "kill",
    "setgid",         "setuid",       "setpcap",          "linux_immutable", "net_bind_service", "net_broadcast",
    "net_admin",      "net_raw",      "ipc_lock",         "ipc_owner",     "sys_module",   "sys_rawio",
    "sys_chroot",     "sys_ptrace",   "sys_pacct",        "sys_admin",     "sys_boot",     "sys_nice",
    "sys_resource",   "sys_time",     "sys_tty_config",   "mknod",         "lease",        "audit_write",
    "audit_control",  "setfcap",      "mac_override",     "mac_admin",     "syslog",       "wake_alarm",
    "block_suspend",  "audit_read",   "perfmon",          "bpf",           "checkpoint_restore"};
static_assert(kNames.size() == CAP_CHECKPOINT_RESTORE + 1);
static_assert(kNames[CAP_SYS_ADMIN] == "sys_admin" && kNames[CAP_BPF] == "bpf" && kNames[CAP_SETFCAP] == "setfcap");

CapMask mask_of(const std::vector<std::string>& names, std::vector<std::string>& unknown) {
  CapMask mask = 0;
  for (const auto& name : names) {
    const auto found = find_capability(name);
    if (found.has_value())
      mask |= cap_bit(*found);
    else if (std::find(unknown.begin(), unknown.end(), name) == unknown.end())
      unknown.push_back(name);
  }
  return mask;
}

}  // namespace

std::optional<int> find_capability(std::string_view name) {
  auto lower = to_lower(name);
  if (lower.starts_with("cap_")) lower.erase(0, 4);
  const auto* found = std::find(kNames.begin(), kNames.end(), lower);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<int>(found - kNames.begin());
}

std::string capability_name(int capability) {
  if (capability < 0 || static_cast<std::size_t>(capability) >= kNames.size()) return format_text("CAP_{}", capability);
  std::string name = "CAP_";
  for (const char c : kNames.at(static_cast<std::size_t>(capability)))
    name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::vector<std::string> capability_names() {
  std::vector<std::string> names;
  names.reserve(kNames.size());
  for (std::size_t i = 0; i < kNames.size(); ++i) names.push_back(capability_name(static_cast<int>(i)));
  return names;
}

PlannedCaps plan_capabilities(const oci::Capabilities& capabilities) {
  PlannedCaps planned;
  planned.sets = {.bounding = mask_of(capabilities.bounding, planned.unknown),
                  .effective = mask_of(capabilities.effective, planned.unknown),
                  .inheritable = mask_of(capabilities.inheritable, planned.unknown),
                  .permitted = mask_of(capabilities.permitted, planned.unknown),
                  .ambient = mask_of(capabilities.ambient, planned.unknown)};
  return planned;
}

CapMask restrict_to(CapSets& sets, CapMask available) {
  const CapMask wanted = sets.bounding | sets.effective | sets.inheritable | sets.permitted;
  sets.bounding &= available;
  sets.permitted &= available;
  sets.inheritable &= available;
  const CapMask effective = sets.effective & sets.permitted;
  const CapMask ambient = sets.ambient & sets.permitted & sets.inheritable;
  const CapMask taken = (wanted & ~available) | (sets.effective & ~effective) | (sets.ambient & ~ambient);
  sets.effective = effective;
  sets.ambient = ambient;
  return taken;
}

}  // namespace husk::runtime
