// Device rules → writes to devices.allow and devices.deny. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace husk::cgroups::v1 {

// For a new cgroup. The kernel keeps a default and a list of exceptions, and a rule takes back only exceptions of
// exactly its own numbers; a hole inside a wider exception would be ignored in silence.
// Errors: unsupported for such rules. Source: cgroup-v1/devices.rst; security/device_cgroup.c.
Result<std::vector<ControlFile>> device_files(const std::vector<oci::DeviceRule>& rules);

// The same as rules: the default, then exceptions of exactly these numbers and kinds of access.
Result<std::vector<oci::DeviceRule>> listed_rules(const std::vector<oci::DeviceRule>& rules);

// From the rules in force to others: what is allowed in addition comes first, so that no access that both lists allow
// is refused in between. `anew`: the default itself changes, so that everything is written and there is such a moment.
struct DeviceChange {
  std::vector<ControlFile> files;
  bool anew = false;
};
Result<DeviceChange> device_change(const std::vector<oci::DeviceRule>& before, const std::vector<oci::DeviceRule>& after);

}  // namespace husk::cgroups::v1
