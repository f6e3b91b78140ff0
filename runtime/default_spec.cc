#include "default_spec.h"

#include <algorithm>

namespace husk::runtime {
namespace {

using oci::NamespaceType;

std::vector<oci::Mount> default_mounts() {
  const std::vector<std::string> none;
  return {{.destination = "/proc", .type = "proc", .source = "proc"},
          {.destination = "/dev",
           .type = "tmpfs",
           .source = "tmpfs",
           .options = {"nosuid", "strictatime", "mode=755", "size=65536k"}},
          {.destination = "/dev/pts",
           .type = "devpts",
           .source = "devpts",
           .options = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
          {.destination = "/dev/shm",
           .type = "tmpfs",
           .source = "shm",
           .options = {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
          {.destination = "/dev/mqueue", .type = "mqueue", .source = "mqueue", .options = {"nosuid", "noexec", "nodev"}},
          {.destination = "/sys", .type = "sysfs", .source = "sysfs", .options = {"nosuid", "noexec", "nodev", "ro"}},
          {.destination = "/sys/fs/cgroup",
           .type = "cgroup",
           .source = "cgroup",
           .options = {"nosuid", "noexec", "nodev", "relatime", "ro"}}};
}

oci::Process default_process() {
  const std::vector<std::string> caps{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  oci::Process process{.terminal = true,
                       .args = {"sh"},
                       .env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
                       .cwd = "/",
                       .capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps},
                       .rlimits = {{.type = "RLIMIT_NOFILE", .soft = 1024, .hard = 1024}},
                       .no_new_privileges = true};
  return process;
}

}  // namespace

oci::Spec default_spec() {
  oci::Spec spec{.oci_version = oci::kSpecVersion,
                 .root = oci::Root{.path = "rootfs", .readonly = true},
                 .mounts = default_mounts(),
                 .process = default_process(),
                 .hostname = "husk"};
  for (const auto type : {NamespaceType::pid, NamespaceType::network, NamespaceType::ipc, NamespaceType::uts,
                          NamespaceType::mount, NamespaceType::cgroup})
    spec.linux.namespaces.push_back({.type = type});
  spec.linux.resources.devices = {{.allow = false, .access = "rwm"}};
  spec.linux.masked_paths = {"/proc/acpi",          "/proc/asound",     "/proc/kcore",      "/proc/keys",
                             "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                             "/sys/firmware",       "/proc/scsi"};
  spec.linux.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

void make_rootless(oci::Spec& spec, std::uint32_t uid, std::uint32_t gid) {
  auto& namespaces = spec.linux.namespaces;
  std::erase_if(namespaces, [](const auto& item) { return item.type == NamespaceType::network; });
  namespaces.push_back({.type = NamespaceType::user});
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = uid, .size = 1}};
  spec.linux.gid_mappings = {{.container_id = 0, .host_id = gid, .size = 1}};
  spec.linux.resources = {};
  for (auto& mount : spec.mounts) {
    std::erase_if(mount.options, [](const auto& option) { return option.starts_with("gid="); });
    // sysfs of a network namespace that the user does not own cannot be mounted anew.
    if (mount.destination == "/sys")
      mount = {.destination = "/sys", .type = "none", .source = "/sys", .options = {"rbind", "nosuid", "noexec", "nodev", "ro"}};
  }
}

}  // namespace husk::runtime
