#include <array>
#include <string>

#include "base/format.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

struct Anchor {
  std::string_view place;
  std::string_view anchor;
};

// The longest matching place wins, so the order does not matter.
constexpr std::array kAnchors{
    Anchor{"/ociVersion", "config.md#configSpecificationVersion"},
    Anchor{"/root", "config.md#configRoot"},
    Anchor{"/mounts", "config.md#configMounts"},
    Anchor{"/process", "config.md#configProcess"},
    Anchor{"/process/user", "config.md#configPOSIXUser"},
    Anchor{"/process/rlimits", "config.md#configPOSIXProcess"},
    Anchor{"/process/apparmorProfile", "config.md#configLinuxProcess"},
    Anchor{"/process/capabilities", "config.md#configLinuxProcess"},
    Anchor{"/process/noNewPrivileges", "config.md#configLinuxProcess"},
    Anchor{"/process/oomScoreAdj", "config.md#configLinuxProcess"},
    Anchor{"/process/scheduler", "config.md#configLinuxProcess"},
    Anchor{"/process/selinuxLabel", "config.md#configLinuxProcess"},
    Anchor{"/process/ioPriority", "config.md#configLinuxProcess"},
    Anchor{"/process/execCPUAffinity", "config.md#configLinuxProcess"},
    Anchor{"/hostname", "config.md#configHostname"},
    Anchor{"/domainname", "config.md#configDomainname"},
    Anchor{"/hooks", "config.md#configHooks"},
    Anchor{"/annotations", "config.md#configAnnotations"},
    Anchor{"/linux", "config-linux.md#linuxContainerConfiguration"},
    Anchor{"/linux/namespaces", "config-linux.md#configLinuxNamespaces"},
    Anchor{"/linux/uidMappings", "config-linux.md#configLinuxUserNamespaceMappings"},
    Anchor{"/linux/gidMappings", "config-linux.md#configLinuxUserNamespaceMappings"},
    Anchor{"/linux/timeOffsets", "config-linux.md#configLinuxTimeOffset"},
    Anchor{"/linux/devices", "config-linux.md#configLinuxDevices"},
    Anchor{"/linux/netDevices", "config-linux.md#configLinuxNetworkDevices"},
    Anchor{"/linux/cgroupsPath", "config-linux.md#configLinuxCgroupsPath"},
    Anchor{"/linux/resources", "config-linux.md#configLinuxControlGroups"},
    Anchor{"/linux/resources/devices", "config-linux.md#configLinuxDeviceAllowedlist"},
    Anchor{"/linux/resources/memory", "config-linux.md#configLinuxMemory"},
    Anchor{"/linux/resources/cpu", "config-linux.md#configLinuxCPU"},
    Anchor{"/linux/resources/pids", "config-linux.md#configLinuxPIDS"},
    Anchor{"/linux/resources/blockIO", "config-linux.md#configLinuxBlockIO"},
    Anchor{"/linux/resources/hugepageLimits", "config-linux.md#configLinuxHugePageLimits"},
    Anchor{"/linux/resources/network", "config-linux.md#configLinuxNetwork"},
    Anchor{"/linux/resources/rdma", "config-linux.md#configLinuxRDMA"},
    Anchor{"/linux/resources/unified", "config-linux.md#configLinuxUnified"},
    Anchor{"/linux/intelRdt", "config-linux.md#configLinuxIntelRdt"},
    Anchor{"/linux/memoryPolicy", "config-linux.md#configLinuxMemoryPolicy"},
    Anchor{"/linux/sysctl", "config-linux.md#configLinuxSysctl"},
    Anchor{"/linux/seccomp", "config-linux.md#configLinuxSeccomp"},
    Anchor{"/linux/rootfsPropagation", "config-linux.md#configLinuxRootfsMountPropagation"},
    Anchor{"/linux/maskedPaths", "config-linux.md#configLinuxMaskedPaths"},
    Anchor{"/linux/readonlyPaths", "config-linux.md#configLinuxReadonlyPaths"},
    Anchor{"/linux/mountLabel", "config-linux.md#configLinuxMountLabel"},
    Anchor{"/linux/personality", "config-linux.md#configLinuxPersonality"}};

// `text` starts with a place in quotes: `"/linux/seccomp/syscalls/0": …`.
std::string_view find_anchor(std::string_view text) {
  std::string_view best;
  std::size_t length = 0;
  for (const auto& row : kAnchors) {
    const auto size = row.place.size();
    if (size <= length || text.size() <= size || !text.starts_with(row.place)) continue;
    if (text[size] != '/' && text[size] != '"') continue;
    best = row.anchor;
    length = size;
  }
  return best;
}

}  // namespace

Error cite(Error error, std::string_view base) {
  const std::string& what = error.what();
  if (!what.starts_with('"')) return error;
  const auto anchor = find_anchor(std::string{base} + what.substr(1));
  if (anchor.empty()) return error;
  return std::move(error).hint(format_text("see runtime-spec {}", anchor));
}

}  // namespace husk::oci
