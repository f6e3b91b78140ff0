#include "cgroups/systemd/properties.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/device_rules.h"
#include "cgroups/v1/device_list.h"

namespace husk::cgroups::systemd {
namespace {

using Properties = std::vector<Property>;
constexpr std::uint64_t kInfinity = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kDefaultPeriod = 100000;

std::optional<std::uint64_t> find_number(std::string_view text) {
  if (text == "max" || text == "-1") return kInfinity;
  const auto number = parse_uint64(text);
  return number.has_value() ? std::optional{number.value()} : std::nullopt;
}

// The kernel takes "512M" too. Source: memparse() in lib/cmdline.c.
std::optional<std::uint64_t> find_bytes(std::string_view text) {
  constexpr std::string_view kUnits = "KMGTPE";
  unsigned shift = 0;
  for (std::size_t i = 0; i < kUnits.size() && !text.empty(); ++i)
    if ((text.back() & ~0x20) == kUnits[i]) shift = static_cast<unsigned>(10 * (i + 1));
  const auto number = find_number(shift == 0 ? text : text.substr(0, text.size() - 1));
  if (shift == 0 || !number.has_value() || *number == kInfinity) return number;
  return *number <= kInfinity >> shift ? std::optional{*number << shift} : std::nullopt;
}

Property number(std::string name, std::uint64_t value) { return {std::move(name), "t", {std::to_string(value)}}; }

struct Row {
  std::string_view file;
  std::string_view property;
};
// One number for one number.
constexpr std::array kNumbersV2{Row{"memory.max", "MemoryMax"},          Row{"memory.low", "MemoryLow"},
                                Row{"memory.min", "MemoryMin"},          Row{"memory.high", "MemoryHigh"},
                                Row{"memory.swap.max", "MemorySwapMax"}, Row{"memory.zswap.max", "MemoryZSwapMax"},
                                Row{"cpu.weight", "CPUWeight"},          Row{"io.weight", "IOWeight"}};
constexpr std::array kNumbersV1{Row{"memory/memory.limit_in_bytes", "MemoryLimit"}, Row{"cpu/cpu.shares", "CPUShares"},
                                Row{"blkio/blkio.weight", "BlockIOWeight"}};

template <class Table>
void add_number(Properties& properties, const Table& table, const ControlFile& file) {
  for (const auto& row : table) {
    if (row.file != file.name) continue;
    const auto value = row.file.starts_with("memory") ? find_bytes(file.value) : find_number(file.value);
    if (value.has_value()) put(properties, number(std::string{row.property}, *value));
  }
}

constexpr std::uint64_t kSecond = 1000000;

// Microseconds of a second.
std::uint64_t share_of(std::uint64_t quota, std::uint64_t period) {
  constexpr std::uint64_t kStep = 10000;
  if (quota >= kInfinity / kSecond) return kInfinity;
  return (quota * kSecond / period + kStep - 1) / kStep * kStep;
}

// What systemd makes of it again. Source: cgroup_apply_unified_cpu_quota() in systemd's src/core/cgroup.c.
std::uint64_t rounded(std::uint64_t quota, std::uint64_t period) {
  const auto share = share_of(quota, period);
  return period == 0 || share == kInfinity || share >= kInfinity / period ? quota : share * period / kSecond;
}

void add_quota(Properties& properties, std::uint64_t quota, std::uint64_t period) {
  if (period == 0) return;
  put(properties, number("CPUQuotaPeriodUSec", period));
  put(properties, number("CPUQuotaPerSecUSec", share_of(quota, period)));
}

struct Bandwidth {
  std::uint64_t quota = kInfinity;
  std::uint64_t period = kDefaultPeriod;
};

// cpu.max: "QUOTA PERIOD" or "QUOTA".
std::optional<Bandwidth> find_cpu_max(std::string_view text) {
  const auto space = text.find(' ');
  const auto quota = find_number(text.substr(0, space));
  const auto period = space == std::string_view::npos ? std::optional{kDefaultPeriod} : find_number(text.substr(space + 1));
  if (!quota.has_value() || !period.has_value() || *period == 0) return std::nullopt;
  return Bandwidth{.quota = *quota, .period = *period};
}

// The unit's scale ends at 1 where the kernel's and the specification's ends at 0; the file gets the 0.
void add_tasks(Properties& properties, std::string_view text) {
  const auto value = find_number(text);
  if (value.has_value()) put(properties, number("TasksMax", *value == 0 ? 1 : *value));
}

void add_mask(Properties& properties, const char* name, std::string_view list) {
  auto mask = number_mask(list);
  if (mask.has_value()) put(properties, {name, "ay", {std::move(mask).value()}});
}

void add_v2(Properties& properties, const ControlFile& file, bool creating) {
  add_number(properties, kNumbersV2, file);
  if (file.name == "cpu.max")
    if (const auto found = find_cpu_max(file.value); found.has_value()) add_quota(properties, found->quota, found->period);
  // Since systemd 252 the weight 0 means idle.
  if (file.name == "cpu.idle" && file.value == "1") put(properties, number("CPUWeight", 0));
  if (file.name == "cpuset.cpus") add_mask(properties, "AllowedCPUs", file.value);
  if (file.name == "cpuset.mems") add_mask(properties, "AllowedMemoryNodes", file.value);
  if (file.name == "pids.max") add_tasks(properties, file.value);
  if (file.name == "memory.oom.group" && creating)
    put(properties, {"OOMPolicy", "s", {file.value == "1" ? "kill" : "continue"}});
}

constexpr std::string_view kQuotaV1 = "cpu/cpu.cfs_quota_us";

std::optional<Bandwidth> find_v1_quota(const std::vector<ControlFile>& files) {
  std::optional<std::uint64_t> quota;
  std::uint64_t period = kDefaultPeriod;
  for (const auto& file : files) {
    if (file.name == kQuotaV1) quota = find_number(file.value);
    if (file.name == "cpu/cpu.cfs_period_us") period = find_number(file.value).value_or(kDefaultPeriod);
  }
  if (!quota.has_value() || period == 0) return std::nullopt;
  return Bandwidth{.quota = *quota, .period = period};
}

bool is_any(const std::optional<std::int64_t>& number) { return number.value_or(-1) < 0; }

std::string access_text(unsigned bits) {
  std::string text;
  if ((bits & kMayRead) != 0) text += 'r';
  if ((bits & kMayWrite) != 0) text += 'w';
  if ((bits & kMayMknod) != 0) text += 'm';
  return text;
}

// As systemd names it; a minor number for every major becomes all of the kind.
std::string device_name(bool block, const oci::DeviceRule& rule) {
  const auto kind = block ? "block" : "char";
  if (is_any(rule.major)) return format_text("{}-*", kind);
  if (is_any(rule.minor)) return format_text("{}-{}", kind, *rule.major);
  return format_text("/dev/{}/{}:{}", kind, *rule.major, *rule.minor);
}

// One entry a name: the later of two would take the place of the first.
// Source: cgroup_context_add_or_update_device_allow() in systemd's src/core/cgroup.c.
void add_device(std::vector<std::pair<std::string, unsigned>>& list, std::string name, unsigned access) {
  const auto same = std::ranges::find(list, name, &std::pair<std::string, unsigned>::first);
  if (same != list.end()) same->second |= access;
  else list.emplace_back(std::move(name), access);
}

// Exactly: by a list of permissions, without a minor number for every major.
bool can_be_said(const std::vector<oci::DeviceRule>& listed) {
  if (listed.front().allow) return listed.size() == 1;
  return std::ranges::all_of(listed, [](const oci::DeviceRule& rule) { return !is_any(rule.major) || is_any(rule.minor); });
}

}  // namespace

Result<std::string> number_mask(std::string_view list) {
  constexpr std::uint32_t kMost = 65536;  // far above any kernel's NR_CPUS
  std::vector<unsigned char> bytes;
  for (const auto part : split(trim(list), ',')) {
    const auto dash = part.find('-');
    const auto first = TRY(parse_uint32(trim(part.substr(0, dash))));
    const auto last = dash == std::string_view::npos ? first : TRY(parse_uint32(trim(part.substr(dash + 1))));
    if (last < first || last >= kMost) return Error{Kind::invalid, format_text("{} is not a list of numbers", quote(list))};
    if (bytes.size() <= last / 8) bytes.resize(last / 8 + 1);
    for (auto bit = first; bit <= last; ++bit) bytes[bit / 8] |= static_cast<unsigned char>(1U << (bit % 8));
  }
  return to_hex(bytes.data(), bytes.size());
}

Properties limit_properties(Version version, const std::vector<ControlFile>& files, bool creating) {
  Properties properties;
  for (const auto& file : files) {
    if (version == Version::v2) {
      add_v2(properties, file, creating);
      continue;
    }
    add_number(properties, kNumbersV1, file);
    if (file.name == "pids/pids.max") add_tasks(properties, file.value);
  }
  if (version == Version::v1)
    if (const auto found = find_v1_quota(files); found.has_value()) add_quota(properties, found->quota, found->period);
  return properties;
}

void round_quota(Version version, std::vector<ControlFile>& files) {
  const auto v1 = version == Version::v1 ? find_v1_quota(files) : std::nullopt;
  for (auto& file : files) {
    if (file.name == kQuotaV1 && v1.has_value() && v1->quota != kInfinity)
      file.value = std::to_string(rounded(v1->quota, v1->period));
    if (file.name != "cpu.max") continue;
    const auto found = find_cpu_max(file.value);
    if (found.has_value() && found->quota != kInfinity)
      file.value = format_text("{} {}", rounded(found->quota, found->period), found->period);
  }
}

Result<Properties> device_properties(Version version, const std::vector<oci::DeviceRule>& rules) {
  auto reduced = reduce_rules(rules);
  if (version == Version::v1) {
    reduced = TRY(v1::listed_rules(rules));
    if (!can_be_said(reduced))
      return Error{Kind::unsupported, "\"/linux/resources/devices\": systemd cannot say these rules, and on cgroup v1 a reload "
                                      "would put its own list in their place"}
          .hint("deny all first; allow devices with their major numbers; or use the cgroupfs driver");
  }
  if (reduced.front().allow) return Properties{{"DevicePolicy", "s", {"auto"}}};
  std::vector<std::pair<std::string, unsigned>> list;
  for (const auto& rule : reduced) {
    if (!rule.allow) continue;
    if (rule.type != 'b') add_device(list, device_name(false, rule), access_bits(rule.access));
    if (rule.type != 'c') add_device(list, device_name(true, rule), access_bits(rule.access));
  }
  std::vector<std::string> values;
  for (auto& [name, access] : list) {
    values.push_back(std::move(name));
    values.push_back(access_text(access));
  }
  return Properties{{"DevicePolicy", "s", {"strict"}}, {"DeviceAllow", "a(ss)", std::move(values)}};
}

Result<Properties> device_change(Version version, const std::vector<oci::DeviceRule>& rules) {
  auto properties = TRY(device_properties(version, rules));
  properties.insert(properties.begin(), {"DeviceAllow", "a(ss)", {}});
  return properties;
}

bool has_own_device_list(const Plan& plan) {
  const auto ours = device_properties(plan.version, plan.device_rules);
  if (!plan.scope.has_value() || !ours.has_value()) return false;
  return !std::ranges::all_of(ours.value(), [&](const Property& property) {
    return std::ranges::find(plan.scope->properties, property) != plan.scope->properties.end();
  });
}

}  // namespace husk::cgroups::systemd
