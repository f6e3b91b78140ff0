#include "cri/capabilities.h"

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::cri {
namespace {

std::string upper(std::string_view text) {
  std::string result{text};
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return result;
}

Result<std::vector<std::string>> known_names(const std::vector<std::string>& names, const char* list) {
  std::vector<std::string> known;
  for (const auto& name : names) {
    if (upper(name) == "ALL") continue;
    auto found = capability_name(name);
    if (!found.has_value())
      return Error{Kind::invalid, format_text("{}: {} is not a capability", list, quote(name))}.hint(
          "names are those of man 7 capabilities, with or without CAP_");
    known.push_back(std::move(*found));
  }
  return known;
}

bool names_all(const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [](const auto& name) { return upper(name) == "ALL"; });
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

const std::vector<std::string>& all_capabilities() {
  static const std::vector<std::string> names{
      "CAP_CHOWN",           "CAP_DAC_OVERRIDE",    "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
      "CAP_FSETID",          "CAP_KILL",            "CAP_SETGID",          "CAP_SETUID",
      "CAP_SETPCAP",         "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
      "CAP_NET_ADMIN",       "CAP_NET_RAW",         "CAP_IPC_LOCK",        "CAP_IPC_OWNER",
      "CAP_SYS_MODULE",      "CAP_SYS_RAWIO",       "CAP_SYS_CHROOT",      "CAP_SYS_PTRACE",
      "CAP_SYS_PACCT",       "CAP_SYS_ADMIN",       "CAP_SYS_BOOT",        "CAP_SYS_NICE",
      "CAP_SYS_RESOURCE",    "CAP_SYS_TIME",        "CAP_SYS_TTY_CONFIG",  "CAP_MKNOD",
      "CAP_LEASE",           "CAP_AUDIT_WRITE",     "CAP_AUDIT_CONTROL",   "CAP_SETFCAP",
      "CAP_MAC_OVERRIDE",    "CAP_MAC_ADMIN",       "CAP_SYSLOG",          "CAP_WAKE_ALARM",
      "CAP_BLOCK_SUSPEND",   "CAP_AUDIT_READ",      "CAP_PERFMON",         "CAP_BPF",
      "CAP_CHECKPOINT_RESTORE"};
  return names;
}

// What unprivileged images expect as root, and what other runtimes of CRI give.
const std::vector<std::string>& default_capabilities() {
  static const std::vector<std::string> names{
      "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
      "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP",
      "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",       "CAP_SYS_CHROOT"};
  return names;
}

std::optional<std::string> capability_name(std::string_view text) {
  auto name = upper(text);
  if (!name.starts_with("CAP_")) name.insert(0, "CAP_");
  if (!contains(all_capabilities(), name)) return std::nullopt;
  return name;
}

std::vector<std::string> parse_bounding_set(std::string_view proc_status) {
  constexpr std::string_view kKey = "CapBnd:";
  std::uint64_t mask = ~std::uint64_t{0};
  for (const auto line : split(proc_status, '\n')) {
    if (!line.starts_with(kKey)) continue;
    mask = 0;
    for (const char c : trim(line.substr(kKey.size())))
      mask = mask * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < all_capabilities().size(); ++i)
    if ((mask >> i & 1U) != 0) names.push_back(all_capabilities()[i]);
  return names;
}

Result<oci::Capabilities> plan_capabilities(const CapabilitySets& sets, const CapabilityChanges& changes,
                                            bool privileged) {
  const auto add = TRY(known_names(changes.add, "add_capabilities"));
  const auto drop = TRY(known_names(changes.drop, "drop_capabilities"));
  const auto ambient = TRY(known_names(changes.add_ambient, "add_ambient_capabilities"));
  std::vector<std::string> chosen;
  for (const auto& name : all_capabilities()) {
    const bool available = contains(sets.available, name);
    bool wanted = available && (privileged || contains(sets.defaults, name));
    if (!privileged) {
      if (names_all(changes.add)) wanted = available;
      if (names_all(changes.drop)) wanted = false;
      if (contains(add, name) || contains(ambient, name)) wanted = true;
      if (contains(drop, name)) wanted = false;
    }
    if (wanted) chosen.push_back(name);
  }
  std::vector<std::string> raised;
  for (const auto& name : ambient)
    if (contains(chosen, name) && !contains(raised, name)) raised.push_back(name);
  return oci::Capabilities{.bounding = chosen,
                           .effective = chosen,
                           .inheritable = raised,  // ambient needs it; else empty: CVE-2022-24769
                           .permitted = chosen,
                           .ambient = raised};
}

}  // namespace husk::cri
