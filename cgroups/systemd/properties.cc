#include "cgroups/systemd/properties.h"

#include <array>
#include <limits>
#include <optional>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/device_rules.h"

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

Property number(std::string name, std::uint64_t value) { return {std::move(name), "t", {std::to_string(value)}}; }

struct Row {
  std::string_view file;
  std::string_view property;
};
// One number for one number. A text that is none ("512M" in "unified") is left to the kernel alone.
constexpr std::array kNumbersV2{Row{"memory.max", "MemoryMax"},          Row{"memory.low", "MemoryLow"},
                                Row{"memory.min", "MemoryMin"},          Row{"memory.high", "MemoryHigh"},
                                Row{"memory.swap.max", "MemorySwapMax"}, Row{"memory.zswap.max", "MemoryZSwapMax"},
                                Row{"cpu.weight", "CPUWeight"},          Row{"io.weight", "IOWeight"}};
constexpr std::array kNumbersV1{Row{"memory/memory.limit_in_bytes", "MemoryLimit"}, Row{"cpu/cpu.shares", "CPUShares"},
                                Row{"blkio/blkio.weight", "BlockIOWeight"}};

template <class Table>
void add_number(Properties& properties, const Table& table, const ControlFile& file) {
  for (const auto& row : table) {
    const auto value = find_number(file.value);
    if (row.file == file.name && value.has_value()) put(properties, number(std::string{row.property}, *value));
  }
}

// systemd keeps a share of a second, in steps of 10 ms: rounded up, so that nothing is taken away.
void add_quota(Properties& properties, std::uint64_t quota, std::uint64_t period) {
  constexpr std::uint64_t kSecond = 1000000;
  constexpr std::uint64_t kStep = 10000;
  if (period == 0) return;
  std::uint64_t share = kInfinity;
  if (quota != kInfinity && quota < kInfinity / kSecond) share = (quota * kSecond / period + kStep - 1) / kStep * kStep;
  put(properties, number("CPUQuotaPeriodUSec", period));
  put(properties, number("CPUQuotaPerSecUSec", share));
}

// cpu.max: "QUOTA PERIOD" or "QUOTA".
void add_cpu_max(Properties& properties, std::string_view text) {
  const auto space = text.find(' ');
  const auto quota = find_number(text.substr(0, space));
  const auto period = space == std::string_view::npos ? std::optional{kDefaultPeriod} : find_number(text.substr(space + 1));
  if (quota.has_value() && period.has_value()) add_quota(properties, *quota, *period);
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
  if (file.name == "cpu.max") add_cpu_max(properties, file.value);
  // Since systemd 252 the weight 0 means idle.
  if (file.name == "cpu.idle" && file.value == "1") put(properties, number("CPUWeight", 0));
  if (file.name == "cpuset.cpus") add_mask(properties, "AllowedCPUs", file.value);
  if (file.name == "cpuset.mems") add_mask(properties, "AllowedMemoryNodes", file.value);
  if (file.name == "pids.max") add_tasks(properties, file.value);
  if (file.name == "memory.oom.group" && creating)
    put(properties, {"OOMPolicy", "s", {file.value == "1" ? "kill" : "continue"}});
}

void add_v1_quota(Properties& properties, const std::vector<ControlFile>& files) {
  std::optional<std::uint64_t> quota;
  std::uint64_t period = kDefaultPeriod;
  for (const auto& file : files) {
    if (file.name == "cpu/cpu.cfs_quota_us") quota = find_number(file.value);
    if (file.name == "cpu/cpu.cfs_period_us") period = find_number(file.value).value_or(kDefaultPeriod);
  }
  if (quota.has_value()) add_quota(properties, *quota, period);
}

bool is_any(const std::optional<std::int64_t>& number) { return number.value_or(-1) < 0; }

std::string access_text(unsigned bits) {
  std::string text;
  if ((bits & kMayRead) != 0) text += 'r';
  if ((bits & kMayWrite) != 0) text += 'w';
  if ((bits & kMayMknod) != 0) text += 'm';
  return text;
}

void add_device(std::vector<std::string>& list, bool block, const oci::DeviceRule& rule) {
  const auto kind = block ? "block" : "char";
  if (is_any(rule.major)) list.push_back(format_text("{}-*", kind));
  else if (is_any(rule.minor)) list.push_back(format_text("{}-{}", kind, *rule.major));
  else list.push_back(format_text("/dev/{}/{}:{}", kind, *rule.major, *rule.minor));
  list.push_back(access_text(access_bits(rule.access)));
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
  if (version == Version::v1) add_v1_quota(properties, files);
  return properties;
}

Properties device_properties(const std::vector<oci::DeviceRule>& rules) {
  const auto reduced = reduce_rules(rules);
  if (reduced.front().allow) return {{"DevicePolicy", "s", {"auto"}}};
  std::vector<std::string> list;
  for (const auto& rule : reduced) {
    if (!rule.allow) continue;
    if (rule.type != 'b') add_device(list, false, rule);
    if (rule.type != 'c') add_device(list, true, rule);
  }
  return {{"DevicePolicy", "s", {"strict"}}, {"DeviceAllow", "a(ss)", std::move(list)}};
}

}  // namespace husk::cgroups::systemd
