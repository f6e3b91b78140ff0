// config-linux.md#allowed-device-list, word for word, for tests that compare filters with it.
#pragma once

#include <array>
#include <optional>
#include <random>
#include <vector>

#include "cgroups/device_rules.h"

namespace husk::test {

struct DeviceAccess {
  char type;
  std::uint32_t major;
  std::uint32_t minor;
  unsigned bits;
};

inline bool is_number(const std::optional<std::int64_t>& rule, std::uint32_t number) {
  return !rule.has_value() || *rule < 0 || static_cast<std::uint64_t>(*rule) == number;
}

// Rules apply in order, so for each kind of access the last one that matches decides.
inline bool is_allowed(const std::vector<oci::DeviceRule>& rules, const DeviceAccess& access) {
  for (const unsigned bit : {cgroups::kMayMknod, cgroups::kMayRead, cgroups::kMayWrite}) {
    if ((access.bits & bit) == 0) continue;
    bool allowed = false;
    for (const auto& rule : rules)
      if ((rule.type == 'a' || rule.type == access.type) && is_number(rule.major, access.major) &&
          is_number(rule.minor, access.minor) && (cgroups::access_bits(rule.access) & bit) != 0)
        allowed = rule.allow;
    if (!allowed) return false;
  }
  return true;
}

inline oci::DeviceRule random_rule(std::mt19937& random, const std::vector<std::optional<std::int64_t>>& numbers) {
  const auto pick = [&random](const auto& choices) { return choices[random() % choices.size()]; };
  const std::array<char, 3> types = {'a', 'b', 'c'};
  const std::array<const char*, 8> accesses = {"", "r", "w", "m", "rw", "rm", "wm", "rwm"};
  return {.allow = random() % 2 == 0,
          .type = pick(types),
          .major = pick(numbers),
          .minor = pick(numbers),
          .access = pick(accesses)};
}

}  // namespace husk::test
