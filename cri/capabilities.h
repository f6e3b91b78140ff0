// Which capabilities a container gets. Source: man 7 capabilities; cri-api, Capability.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cri/model.h"

namespace husk::cri {

// "net_raw", "NET_RAW", "CAP_NET_RAW" → "CAP_NET_RAW"; nullopt: the kernel knows no such name.
std::optional<std::string> capability_name(std::string_view text);
const std::vector<std::string>& all_capabilities();      // in the kernel's order
const std::vector<std::string>& default_capabilities();

// The capabilities of our own bounding set, from "CapBnd" of /proc/self/status: nobody can get more.
std::vector<std::string> parse_bounding_set(std::string_view proc_status);

struct CapabilitySets {
  std::vector<std::string> defaults = default_capabilities();
  std::vector<std::string> available = all_capabilities();  // what "ALL" and privileged mean here
};
// defaults, then "ALL" of add and drop, then single names: drop wins over a default, add over "drop ALL".
Result<oci::Capabilities> plan_capabilities(const CapabilitySets& sets, const CapabilityChanges& changes,
                                            bool privileged);

}  // namespace husk::cri
