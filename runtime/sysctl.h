// Which kernel parameters a container may set: only those that its own namespaces hold.
// Source: runtime-spec config-linux.md#sysctl; man 7 ipc_namespaces, network_namespaces.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

struct SysctlWrite {
  std::string path;  // below /proc/sys, "net/ipv4/ip_forward"
  std::string key;   // as written, for errors
  std::string value;
};
// Errors: invalid, with the JSON pointer, for a parameter of the host.
Result<std::vector<SysctlWrite>> plan_sysctls(const oci::Spec& spec);

// Writes them in the calling process's namespaces. `proc_fd` is the host's verified /proc.
Status apply_sysctls(int proc_fd, const std::vector<SysctlWrite>& writes);

// An O_PATH descriptor of /proc that is a procfs and the root of its mount (CVE-2025-52881: a write
// must never land elsewhere).
Result<UniqueFd> open_verified_proc();

}  // namespace husk::runtime
