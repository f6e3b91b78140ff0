#include "cgroups/device_rules.h"

#include <algorithm>
#include <optional>

namespace husk::cgroups {
namespace {

using oci::DeviceRule;
using Number = std::optional<std::int64_t>;

bool is_any(const Number& number) { return !number.has_value() || *number < 0; }
bool covers(const Number& wide, const Number& narrow) { return is_any(wide) || (!is_any(narrow) && *wide == *narrow); }
bool overlap(const Number& a, const Number& b) { return is_any(a) || is_any(b) || *a == *b; }

DeviceRule allow(char type, Number major, Number minor, const char* access) {
  return {.allow = true, .type = type, .major = major, .minor = minor, .access = access};
}

}  // namespace

unsigned access_bits(std::string_view access) {
  if (access.empty()) return kMayAll;
  unsigned bits = 0;
  for (const char c : access) bits |= c == 'm' ? kMayMknod : c == 'r' ? kMayRead : kMayWrite;
  return bits;
}

std::vector<DeviceRule> complete_rules(const std::vector<DeviceRule>& given) {
  std::vector<DeviceRule> rules{{.allow = false, .type = 'a', .access = "rwm"}};
  rules.insert(rules.end(), given.begin(), given.end());
  // Numbers: kernel Documentation/admin-guide/devices.txt.
  rules.push_back(allow('a', std::nullopt, std::nullopt, "m"));
  for (const std::int64_t minor : {3, 5, 7, 8, 9}) rules.push_back(allow('c', 1, minor, "rwm"));
  for (const std::int64_t minor : {0, 1, 2}) rules.push_back(allow('c', 5, minor, "rwm"));
  rules.push_back(allow('c', 136, std::nullopt, "rwm"));
  return rules;
}

bool matches_everything(const DeviceRule& rule) {
  return rule.type == 'a' && is_any(rule.major) && is_any(rule.minor) && access_bits(rule.access) == kMayAll;
}

bool covers_devices(const DeviceRule& wide, const DeviceRule& narrow) {
  return (wide.type == 'a' || wide.type == narrow.type) && covers(wide.major, narrow.major) &&
         covers(wide.minor, narrow.minor);
}

bool can_overlap(const DeviceRule& a, const DeviceRule& b) {
  return (a.type == 'a' || b.type == 'a' || a.type == b.type) && overlap(a.major, b.major) && overlap(a.minor, b.minor);
}

std::vector<DeviceRule> reduce_rules(const std::vector<DeviceRule>& rules) {
  std::vector<DeviceRule> kept;  // last rule first
  DeviceRule base{.allow = false, .type = 'a', .access = "rwm"};
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (matches_everything(*rule)) {
      base = *rule;
      break;
    }
    const bool hidden = std::any_of(kept.begin(), kept.end(), [&rule](const DeviceRule& later) {
      const unsigned left = access_bits(rule->access) & ~access_bits(later.access);
      return left == 0 && covers_devices(later, *rule);
    });
    if (!hidden) kept.push_back(*rule);
  }
  // Rules right after the base that repeat its verdict change nothing.
  while (!kept.empty() && kept.back().allow == base.allow) kept.pop_back();
  kept.push_back(base);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

bool are_same_rules(const std::vector<DeviceRule>& a, const std::vector<DeviceRule>& b) {
  const auto first = reduce_rules(a);
  const auto second = reduce_rules(b);
  return std::equal(first.begin(), first.end(), second.begin(), second.end(), [](const DeviceRule& x, const DeviceRule& y) {
    return x.allow == y.allow && access_bits(x.access) == access_bits(y.access) && covers_devices(x, y) && covers_devices(y, x);
  });
}

}  // namespace husk::cgroups
