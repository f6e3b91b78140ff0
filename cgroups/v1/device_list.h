// Device rules → writes to devices.allow and devices.deny. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace husk::cgroups::v1 {

// The kernel keeps a default and a list of exceptions, and a rule takes back only exceptions of exactly
// its own numbers; a hole inside a wider exception would be ignored in silence.
// Errors: unsupported for such rules. Source: cgroup-v1/devices.rst; security/device_cgroup.c.
Result<std::vector<ControlFile>> device_files(const std::vector<oci::DeviceRule>& rules);

}  // namespace husk::cgroups::v1
