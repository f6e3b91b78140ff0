// Control files and device rules → properties of a systemd unit. Pure.
#pragma once

#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cgroups/systemd/unit.h"

namespace husk::cgroups::systemd {

// What systemd can say of the files: it writes them again at each change and reload, so it must know them. The rest
// (and the exact numbers, where it rounds) is written beside it. `creating`: with what only a new unit takes.
// Source: man 5 systemd.resource-control; runc, docs/systemd.md.
std::vector<Property> limit_properties(Version version, const std::vector<ControlFile>& files, bool creating);

// DevicePolicy and DeviceAllow that allow all that `rules` allow. What a list of permissions cannot say (a hole, a
// minor number for every major) is allowed here and refused by our own filter: all filters of a cgroup must allow.
// On v1 there is one list, which systemd writes again at each reload: what it cannot say would be allowed from then on.
// Errors: unsupported, on v1 for such rules.
Result<std::vector<Property>> device_properties(Version version, const std::vector<oci::DeviceRule>& rules);

// The same for a unit that is there. DeviceAllow adds to the list, so that the empty one comes first.
Result<std::vector<Property>> device_change(Version version, const std::vector<oci::DeviceRule>& rules);
// An annotation of the container has the last word about DevicePolicy or DeviceAllow.
bool has_own_device_list(const Plan& plan);

// A unit's quota is a share of a second in steps of 10 ms. systemd writes it into the cgroup again at each reload, so
// the files get the same: rounded up, that nothing is taken away. Source: config_parse_cpu_quota() of older versions.
void round_quota(Version version, std::vector<ControlFile>& files);

// "0-3,7" → the bytes of the mask, lowest first, as hex: "8f". Errors: invalid.
Result<std::string> number_mask(std::string_view list);

}  // namespace husk::cgroups::systemd
