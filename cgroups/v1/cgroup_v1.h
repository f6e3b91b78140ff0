// The cgroup v1 backend (cgroupfs driver): the same path in each mounted hierarchy.
// Legacy: kubelet refuses v1 by default since 1.35; this folder can go as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cgroups/v1/hierarchy.h"

namespace husk::cgroups::v1 {

Result<std::unique_ptr<Cgroup>> create(const Plan& plan);
Result<std::unique_ptr<Cgroup>> open(const std::string& path);
// systemd has put the process into the cgroup in its own hierarchies: the same in all others, and the limits.
Result<std::unique_ptr<Cgroup>> join(const Plan& plan, pid_t process);
Stats read_stats(const std::vector<Hierarchy>& hierarchies, const std::string& path);
std::uint64_t read_oom_kills(const std::string& path);

}  // namespace husk::cgroups::v1
