// Capability names ↔ bits, and the five sets a process gets. Pure.
// Source: man 7 capabilities; linux/capability.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

using CapMask = std::uint64_t;  // bit n = capability n

struct CapSets {
  CapMask bounding = 0;
  CapMask effective = 0;
  CapMask inheritable = 0;
  CapMask permitted = 0;
  CapMask ambient = 0;
};

constexpr CapMask cap_bit(int capability) { return CapMask{1} << static_cast<unsigned>(capability); }

// "CAP_SYS_ADMIN" (any case, prefix optional) → bit number; nothing for an unknown name.
std::optional<int> find_capability(std::string_view name);
std::string capability_name(int capability);
std::vector<std::string> capability_names();  // all that this program knows, in bit order

struct PlannedCaps {
  CapSets sets;
  std::vector<std::string> unknown;  // warned about: config.md#linux-process says not an error
};
PlannedCaps plan_capabilities(const oci::Capabilities& capabilities);

// Takes away what `available` does not hold, and ambient ones that are not permitted and
// inheritable (man 7 capabilities: ambient). Returns the mask of all that was taken.
CapMask restrict_to(CapSets& sets, CapMask available);

}  // namespace husk::runtime
