// Device rules as the specification means them: applied in order, so the last rule that matches a
// device and an access bit decides. Pure; both backends start from the reduced list.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "oci-spec/runtime_spec.h"

namespace husk::cgroups {

// Bits as BPF_DEVCG_ACC_* in linux/bpf.h.
inline constexpr unsigned kMayMknod = 1;
inline constexpr unsigned kMayRead = 2;
inline constexpr unsigned kMayWrite = 4;
inline constexpr unsigned kMayAll = 7;
unsigned access_bits(std::string_view access);  // "" = all

// Deny-all, then `given`, then what every container may use (null, zero, full, random, urandom, tty,
// console, ptmx, pts; making any node: opening it stays forbidden).
// Source: config-linux.md#default-devices, #device-whitelist.
std::vector<oci::DeviceRule> complete_rules(const std::vector<oci::DeviceRule>& given);

// The same decisions with fewer rules: without rules that a later one hides, beginning with one rule
// that matches everything. One rule that allows means: no filter is needed.
std::vector<oci::DeviceRule> reduce_rules(const std::vector<oci::DeviceRule>& rules);

// Both decide each access alike, as far as the reduced lists tell.
bool are_same_rules(const std::vector<oci::DeviceRule>& a, const std::vector<oci::DeviceRule>& b);

bool matches_everything(const oci::DeviceRule& rule);
// `wide` matches every device that `narrow` matches.
bool covers_devices(const oci::DeviceRule& wide, const oci::DeviceRule& narrow);
// Some device is matched by both.
bool can_overlap(const oci::DeviceRule& a, const oci::DeviceRule& b);

}  // namespace husk::cgroups
