#include "cgroups/resources.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "oci-spec/json.h"

namespace husk::cgroups {
namespace {

Error invalid(std::string_view pointer, std::string_view what) {
  return resource_error(Kind::invalid, pointer, what);
}

Status check_memory(const oci::MemoryLimits& memory) {
  const struct {
    const std::optional<std::int64_t>& value;
    std::string_view name;
  } fields[] = {{memory.limit, "limit"},
                {memory.reservation, "reservation"},
                {memory.swap, "swap"},
                {memory.kernel, "kernel"},
                {memory.kernel_tcp, "kernelTCP"}};
  for (const auto& field : fields)
    if (field.value.value_or(0) < -1)
      return invalid(format_text("memory/{}", field.name),
                     format_text("{} bytes; only -1 (no limit) may be negative", *field.value));
  if (memory.swappiness.value_or(0) > 100)
    return invalid("memory/swappiness", format_text("{} is not in 0-100", *memory.swappiness));
  const auto limit = memory.limit.value_or(0);
  const auto swap = memory.swap.value_or(0);
  if (swap > 0 && limit <= 0)
    return invalid("memory/swap", "a limit of memory + swap needs a memory limit beside it");
  if (swap > 0 && swap < limit)
    return invalid("memory/swap", format_text("{} is less than the memory limit {}; it counts memory + swap", swap, limit)).hint("give both limits");
  return ok();
}

// "0-3,7": numbers and ranges, as the kernel's list format. Source: man 7 cpuset, FORMATS.
bool is_number_list(std::string_view text) {
  for (const auto part : split(text, ',')) {
    const auto dash = part.find('-');
    const auto first = parse_uint32(part.substr(0, dash));
    if (!first.has_value()) return false;
    if (dash == std::string_view::npos) continue;
    const auto last = parse_uint32(part.substr(dash + 1));
    if (!last.has_value() || last.value() < first.value()) return false;
  }
  return true;
}

Status check_cpu(const oci::CpuLimits& cpu) {
  constexpr std::uint64_t kLeastMicroseconds = 1000;  // kernel/sched/core.c, min_cfs_quota_period
  constexpr std::uint64_t kMostMicroseconds = 1000000;
  const auto period = cpu.period.value_or(0);
  if (period != 0 && (period < kLeastMicroseconds || period > kMostMicroseconds))
    return invalid("cpu/period", format_text("{} is not in 1000-1000000 microseconds", period));
  const auto quota = cpu.quota.value_or(0);
  if (quota > 0 && static_cast<std::uint64_t>(quota) < kLeastMicroseconds)
    return invalid("cpu/quota", format_text("{} is less than 1000 microseconds", quota));
  if (cpu.burst.has_value() && quota > 0 && *cpu.burst > static_cast<std::uint64_t>(quota))
    return invalid("cpu/burst", format_text("{} is more than the quota {}", *cpu.burst, quota));
  if (cpu.idle.value_or(0) < 0 || cpu.idle.value_or(0) > 1)
    return invalid("cpu/idle", format_text("{} is neither 0 nor 1", *cpu.idle));
  if (!cpu.cpus.empty() && !is_number_list(cpu.cpus))
    return invalid("cpu/cpus", format_text("{} is not a list like \"0-3,7\"", quote(cpu.cpus)));
  if (!cpu.mems.empty() && !is_number_list(cpu.mems))
    return invalid("cpu/mems", format_text("{} is not a list like \"0-1\"", quote(cpu.mems)));
  return ok();
}

Status check_weight(const std::optional<std::uint16_t>& weight, const std::string& pointer) {
  const auto value = weight.value_or(0);  // 0 is how callers say "unset"
  if (value != 0 && (value < 10 || value > 1000))
    return invalid(pointer, format_text("{} is not in 10-1000", value));
  return ok();
}

Status check_device_number(std::int64_t major, std::int64_t minor, const std::string& pointer) {
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (major < 0 || major > kMost || minor < 0 || minor > kMost)
    return invalid(pointer, format_text("{}:{} is not a device number", major, minor));
  return ok();
}

Status check_block_io(const oci::BlockIoLimits& io) {
  TRY(check_weight(io.weight, "blockIO/weight"));
  TRY(check_weight(io.leaf_weight, "blockIO/leafWeight"));
  for (std::size_t i = 0; i < io.weight_devices.size(); ++i) {
    const auto& device = io.weight_devices[i];
    const auto pointer = format_text("blockIO/weightDevice/{}", i);
    TRY(check_device_number(device.major, device.minor, pointer));
    TRY(check_weight(device.weight, pointer + "/weight"));
    TRY(check_weight(device.leaf_weight, pointer + "/leafWeight"));
    if (!device.weight.has_value() && !device.leaf_weight.has_value())
      return invalid(pointer, "needs weight or leafWeight");
  }
  const struct {
    const std::vector<oci::ThrottleDevice>& devices;
    std::string_view name;
  } throttles[] = {{io.read_bps, "throttleReadBpsDevice"},
                   {io.write_bps, "throttleWriteBpsDevice"},
                   {io.read_iops, "throttleReadIOPSDevice"},
                   {io.write_iops, "throttleWriteIOPSDevice"}};
  for (const auto& throttle : throttles)
    for (std::size_t i = 0; i < throttle.devices.size(); ++i)
      TRY(check_device_number(throttle.devices[i].major, throttle.devices[i].minor,
                              format_text("blockIO/{}/{}", throttle.name, i)));
  return ok();
}

// "2MB", "1GB", "64KB": part of a file name, so it is checked to the letter.
// Source: config-linux.md#huge-page-limits; hugetlb in cgroup-v2.rst.
bool is_page_size(std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || text.front() == '0' || digits > 6) return false;
  const auto unit = text.substr(digits);
  return unit == "KB" || unit == "MB" || unit == "GB";
}

Status check_names(const oci::Resources& resources) {
  const auto is_bad_name = [](const std::string& name) {
    return name.empty() || name == "." || name == ".." || name.find_first_of("/ \t\n") != std::string::npos;
  };
  for (std::size_t i = 0; i < resources.hugepage_limits.size(); ++i)
    if (const auto& size = resources.hugepage_limits[i].page_size; !is_page_size(size))
      return invalid(format_text("hugepageLimits/{}/pageSize", i),
                     format_text("{} is not a page size like \"2MB\"", quote(size)));
  for (const auto& limit : resources.rdma) {
    if (is_bad_name(limit.device))
      return invalid("rdma", format_text("{} is not a device name", quote(limit.device)));
    if (!limit.hca_handles.has_value() && !limit.hca_objects.has_value())
      return invalid(format_text("rdma/{}", limit.device), "needs hcaHandles or hcaObjects");
  }
  if (!resources.network.has_value()) return ok();
  for (std::size_t i = 0; i < resources.network->priorities.size(); ++i)
    if (const auto& name = resources.network->priorities[i].name; is_bad_name(name))
      return invalid(format_text("network/priorities/{}/name", i),
                     format_text("{} is not an interface name", quote(name)));
  return ok();
}

Status check_unified(const oci::StringMap& unified) {
  // These move, stop or kill processes: a limit must not be able to.
  constexpr std::string_view kActing[] = {"cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"};
  for (const auto& [name, value] : unified) {
    const auto pointer = format_text("unified/{}", name);
    if (name.find('.') == std::string::npos || name.find('/') != std::string::npos || name.front() == '.')
      return invalid(pointer, "is not a file name like \"memory.high\"");
    if (name.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
      return invalid(pointer, "has a NUL byte");
    if (std::find(std::begin(kActing), std::end(kActing), name) != std::end(kActing))
      return invalid(pointer, "acts on processes; it is not a limit");
  }
  return ok();
}

Status check_devices(const std::vector<oci::DeviceRule>& rules) {
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto& rule = rules[i];
    const auto pointer = format_text("devices/{}", i);
    if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c')
      return invalid(pointer + "/type", "is none of \"a\", \"b\", \"c\"");
    if (rule.access.find_first_not_of("rwm") != std::string::npos)
      return invalid(pointer + "/access", format_text("{} has letters other than \"rwm\"", quote(rule.access)));
    if (rule.major.value_or(0) < -1 || rule.major.value_or(0) > kMost) return invalid(pointer + "/major", "is no device number, nor -1 (all)");
    if (rule.minor.value_or(0) < -1 || rule.minor.value_or(0) > kMost) return invalid(pointer + "/minor", "is no device number, nor -1 (all)");
  }
  return ok();
}

}  // namespace

Error resource_error(Kind kind, std::string_view pointer, std::string_view what) {
  return Error{kind, std::string{what}}.during(pointer_of(pointer));
}

void add_file(std::vector<ControlFile>& files, std::string_view field, std::string_view name, std::string value,
              Need need) {
  files.push_back({.name = std::string{name}, .value = std::move(value), .need = need, .field = std::string{field}});
}

void add_hugepages(std::vector<ControlFile>& files, const std::vector<oci::HugepageLimit>& limits,
                   std::string_view prefix, std::string_view file) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const auto field = format_text("hugepageLimits/{}/limit", i);
    const auto value = std::to_string(limits[i].limit);
    add_file(files, field, format_text("{}{}.{}", prefix, limits[i].page_size, file), value);
    add_file(files, field, format_text("{}{}.rsvd.{}", prefix, limits[i].page_size, file), value, Need::if_present);
  }
}

void add_rdma(std::vector<ControlFile>& files, const std::vector<oci::RdmaLimit>& limits, std::string_view name) {
  for (const auto& limit : limits) {
    std::string line = limit.device;
    if (limit.hca_handles.has_value()) line += format_text(" hca_handle={}", *limit.hca_handles);
    if (limit.hca_objects.has_value()) line += format_text(" hca_object={}", *limit.hca_objects);
    add_file(files, format_text("rdma/{}", oci::escape_pointer(limit.device)), name, std::move(line));
  }
}

Status check_memory_limit(const std::string& limit, std::uint64_t usage_bytes) {
  const auto bytes = parse_uint64(limit);
  if (!bytes.has_value() || bytes.value() >= usage_bytes) return ok();
  return resource_error(Kind::busy, "memory/limit",
                        format_text("{} bytes is less than the {} bytes in use", bytes.value(), usage_bytes))
      .hint("checkBeforeUpdate is set; free memory first or choose a higher limit");
}

Status check_resources(const oci::Resources& resources) {
  TRY(check_devices(resources.devices));
  if (resources.memory.has_value()) TRY(check_memory(*resources.memory));
  if (resources.cpu.has_value()) TRY(check_cpu(*resources.cpu));
  if (resources.pids_limit.value_or(0) < -1)
    return invalid("pids/limit", format_text("{}; only -1 (no limit) may be negative", *resources.pids_limit));
  if (resources.block_io.has_value()) TRY(check_block_io(*resources.block_io));
  TRY(check_names(resources));
  return check_unified(resources.unified);
}

}  // namespace husk::cgroups
