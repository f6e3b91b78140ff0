// The cgroup v2 backend (cgroupfs driver): one directory in the unified hierarchy.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace husk::cgroups::v2 {

inline constexpr const char* kMount = "/sys/fs/cgroup";

Result<std::unique_ptr<Cgroup>> create(const Plan& plan, Devices devices);
// `mount`: hybrid hosts have a second, controller-less hierarchy elsewhere.
Result<std::unique_ptr<Cgroup>> open(const std::string& path, const std::string& mount = kMount);
Stats read_stats(const std::string& directory);  // what is absent stays 0

}  // namespace husk::cgroups::v2
