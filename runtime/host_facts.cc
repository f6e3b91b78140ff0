#include "host_facts.h"

#include <errno.h>
#include <linux/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "capabilities.h"
#include "cgroups/cgroup.h"
#include "cgroups/control_file.h"
#include "labels.h"
#include "namespaces.h"
#include "oci-spec/names.h"
#include "resctrl.h"
#include "user_namespace.h"

namespace husk::runtime {
namespace {

constexpr const char* kPrefix = "husk.host.";

bool exists(const std::string& path) { return sys::fstatat(AT_FDCWD, path, 0).has_value(); }

std::string text_of(bool value) { return value ? "true" : "false"; }

std::vector<std::string> unknown_capabilities() {
  const auto last = cgroups::read_number("/proc/sys/kernel/cap_last_cap");
  const auto names = capability_names();
  if (last == 0 || last + 1 >= names.size()) return {};
  return {names.begin() + static_cast<std::ptrdiff_t>(last) + 1, names.end()};
}

// "name hierarchy num_cgroups enabled"; what a hierarchy of v2 has stands in a file of its own.
// Source: man 7 cgroups, /proc/cgroups.
std::vector<std::string> controllers(cgroups::Version version) {
  if (version == cgroups::Version::v2) {
    const auto text = cgroups::read_text("/sys/fs/cgroup/cgroup.controllers");
    const auto words = words_of(text);
    return {words.begin(), words.end()};
  }
  std::vector<std::string> found;
  const auto table = cgroups::read_text("/proc/cgroups");
  for (const auto line : split(table, '\n')) {
    if (line.starts_with('#')) continue;
    const auto columns = split(line, '\t');
    if (columns.size() == 4 && columns[1] != "0" && trim(columns[3]) == "1") found.emplace_back(columns[0]);
  }
  return found;
}

std::vector<std::string> namespaces() {
  std::vector<std::string> found;
  for (const auto& row : oci::kNamespaceNames)
    if (exists(namespace_path("self", row.type))) found.emplace_back(row.name);
  return found;
}

// Refused for its descriptor (or for our rights) by a kernel that has the call: 5.12, with MOUNT_ATTR_IDMAP.
bool has_mount_setattr() {
  const auto tried = sys::mount_setattr(-1, "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY});
  return tried.has_value() || tried.error().os_errno() != ENOSYS;
}

// Of systemd itself: man 3 sd_booted.
bool has_systemd() { return exists("/run/systemd/system"); }

bool has_user_systemd() {
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  const auto dir = runtime_dir != nullptr ? std::string{runtime_dir} : format_text("/run/user/{}", ::geteuid());
  return has_systemd() && exists(dir + "/systemd/private");
}

bool may_make_user_namespaces() { return cgroups::read_number("/proc/sys/user/max_user_namespaces") > 0; }

}  // namespace

HostFacts find_host_facts() {
  HostFacts facts;
  const auto add = [&facts](std::string_view name, std::string value) { facts.emplace_back(format_text("{}{}", kPrefix, name), std::move(value)); };
  const auto version = cgroups::host_version();
  const auto found = controllers(version);
  add("cgroup", version == cgroups::Version::v2 ? "v2" : "v1");
  add("cgroup.controllers", join(found, ","));
  add("cgroup.rdma", text_of(std::ranges::find(found, "rdma") != found.end()));
  add("cgroup.systemd", text_of(has_systemd()));
  add("cgroup.systemdUser", text_of(has_user_systemd()));
  add("namespaces", join(namespaces(), ","));
  add("userNamespaces", text_of(may_make_user_namespaces()));
  add("capabilities.unknown", join(unknown_capabilities(), ","));
  add("apparmor", text_of(has_apparmor()));
  add("selinux", text_of(has_selinux()));
  const auto resctrl = Resctrl::open();
  add("intelRdt", text_of(resctrl.has_value()));
  add("intelRdt.monitoring", text_of(resctrl.has_value() && resctrl.value().can_monitor()));
  add("memoryPolicy", text_of(exists("/proc/self/numa_maps")));  // CONFIG_NUMA
  const bool has_attributes = has_mount_setattr();
  add("mountOptions.recursive", text_of(has_attributes));
  add("mountExtensions.idmap", text_of(has_attributes));
  add("newuidmap", text_of(has_id_mappers()));
  return facts;
}

}  // namespace husk::runtime
