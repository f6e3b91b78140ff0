#include <algorithm>

#include "oci-spec/parse_config.h"
#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

// config-linux.md#configLinuxDeviceAllowedlist
Status check_device_rules(const std::vector<DeviceRule>& rules, std::string_view pointer) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto& access = rules[i].access;
    const bool known = access.find_first_not_of("rwm") == std::string::npos;
    const bool once = std::ranges::count(access, 'r') <= 1 && std::ranges::count(access, 'w') <= 1 &&
                      std::ranges::count(access, 'm') <= 1;
    if (!known || !once)
      return rule_error(at(at(pointer, "devices", i), "access"),
                        format_text("{} is not composed of \"r\", \"w\" and \"m\"", quote(access)));
    // Larger numbers would be cut to 32 bits in the device filter and so mean other devices; any that is negative
    // would mean all devices, which only -1 may.
    const auto is_number = [](const std::optional<std::int64_t>& number, std::int64_t most) {
      return number.value_or(0) >= -1 && number.value_or(0) <= most;
    };
    const bool has_major = is_number(rules[i].major, kMaxMajor);
    if (!has_major || !is_number(rules[i].minor, kMaxMinor))
      return rule_error(at(at(pointer, "devices", i), has_major ? "minor" : "major"), "no device has such a number; -1 means all");
  }
  return ok();
}

// config-linux.md#configLinuxMemory: bytes, or -1 for unlimited.
Status check_memory(const MemoryLimits& memory, const std::string& pointer) {
  struct Row {
    std::string_view name;
    const std::optional<std::int64_t>& value;
  };
  for (const auto& row : {Row{"limit", memory.limit}, Row{"reservation", memory.reservation},
                          Row{"swap", memory.swap}, Row{"kernel", memory.kernel}, Row{"kernelTCP", memory.kernel_tcp}})
    if (row.value.value_or(0) < -1)
      return rule_error(at(pointer, row.name), format_text("{} is neither a size nor -1 (unlimited)", *row.value));
  if (memory.swappiness.value_or(0) > 100)
    return rule_error(at(pointer, "swappiness"), format_text("{} is not from 0 to 100", *memory.swappiness));
  // Not in the specification, but no kernel can hold it: memory.memsw.limit_in_bytes and memory.swap.max.
  const auto limit = memory.limit.value_or(0);
  const auto swap = memory.swap.value_or(0);
  if (limit > 0 && swap > 0 && swap < limit)
    return rule_error(at(pointer, "swap"), format_text("memory+swap ({}) is below the memory limit ({})", swap, limit));
  return ok();
}

// config-linux.md#configLinuxCPU
Status check_cpu(const CpuLimits& cpu, const std::string& pointer) {
  const auto quota = cpu.quota.value_or(0);
  if (quota > 0 && cpu.burst.value_or(0) > static_cast<std::uint64_t>(quota))
    return rule_error(at(pointer, "burst"), format_text("{} is larger than the quota {}", *cpu.burst, quota));
  const auto idle = cpu.idle.value_or(0);
  if (idle != 0 && idle != 1) return rule_error(at(pointer, "idle"), format_text("{} is neither 0 nor 1", idle));
  TRY(check_cpu_list(at(pointer, "cpus"), cpu.cpus));
  return check_cpu_list(at(pointer, "mems"), cpu.mems);
}

// 10 to 1000 is the range of blkio.weight; 0 is what some callers send for "unset".
Status check_weight(std::string_view pointer, const std::optional<std::uint16_t>& weight) {
  const auto value = weight.value_or(0);
  if (value == 0 || (value >= 10 && value <= 1000)) return ok();
  return rule_error(pointer, format_text("{} is not from 10 to 1000", value));
}

Status check_numbers(std::string_view pointer, std::int64_t major, std::int64_t minor) {
  if (major >= 0 && major <= kMaxMajor && minor >= 0 && minor <= kMaxMinor) return ok();
  return rule_error(pointer, format_text("{}:{} is no device number", major, minor));
}

Status check_throttles(const std::vector<ThrottleDevice>& devices, std::string_view pointer, std::string_view name) {
  for (std::size_t i = 0; i < devices.size(); ++i)
    TRY(check_numbers(at(pointer, name, i), devices[i].major, devices[i].minor));
  return ok();
}

// config-linux.md#configLinuxBlockIO
Status check_block_io(const BlockIoLimits& io, const std::string& pointer) {
  TRY(check_weight(at(pointer, "weight"), io.weight));
  TRY(check_weight(at(pointer, "leafWeight"), io.leaf_weight));
  for (std::size_t i = 0; i < io.weight_devices.size(); ++i) {
    const auto& device = io.weight_devices[i];
    const auto place = at(pointer, "weightDevice", i);
    TRY(check_numbers(place, device.major, device.minor));
    if (!device.weight.has_value() && !device.leaf_weight.has_value())
      return rule_error(place, "needs \"weight\" or \"leafWeight\"");
    TRY(check_weight(at(place, "weight"), device.weight));
    TRY(check_weight(at(place, "leafWeight"), device.leaf_weight));
  }
  TRY(check_throttles(io.read_bps, pointer, "throttleReadBpsDevice"));
  TRY(check_throttles(io.write_bps, pointer, "throttleWriteBpsDevice"));
  TRY(check_throttles(io.read_iops, pointer, "throttleReadIOPSDevice"));
  return check_throttles(io.write_iops, pointer, "throttleWriteIOPSDevice");
}

// config-linux.md#configLinuxHugePageLimits: "<size><unit-prefix>B". It becomes part of a file name.
Status check_page_size(std::string_view pointer, std::string_view text) {
  const auto digits = text.find_first_not_of("0123456789");
  const bool valid = digits != std::string_view::npos && digits > 0 && text.front() != '0' &&
                     text.size() == digits + 2 && text[digits + 1] == 'B' &&
                     std::string_view{"KMG"}.find(text[digits]) != std::string_view::npos;
  if (valid) return ok();
  return rule_error(pointer, format_text("{} is not a page size like \"64KB\", \"2MB\" or \"1GB\"", quote(text)));
}

// config-linux.md#configLinuxUnified: the name of one file in the container's cgroup.
Status check_unified(const StringMap& unified, const std::string& pointer) {
  for (const auto& [name, value] : unified) {
    const bool unsafe = name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
                        name.find('\0') != std::string::npos;
    if (unsafe) return rule_error(pointer, format_text("{} is not the name of a cgroup file", quote(name)));
  }
  return ok();
}

// A name that goes into one line of net_prio.ifpriomap or rdma.max.
bool is_plain_name(std::string_view name) { return !name.empty() && name.find_first_of(" \t\n") == std::string_view::npos; }

Status check_named_limits(const Resources& resources, std::string_view pointer) {
  for (std::size_t i = 0; i < resources.hugepage_limits.size(); ++i)
    TRY(check_page_size(at(at(pointer, "hugepageLimits", i), "pageSize"), resources.hugepage_limits[i].page_size));
  if (resources.network.has_value())
    for (const auto& priority : resources.network->priorities)
      if (!is_plain_name(priority.name))
        return rule_error(at(pointer, "network"), format_text("{} is no interface name", quote(priority.name)));
  for (const auto& limit : resources.rdma) {
    if (!is_plain_name(limit.device))
      return rule_error(at(pointer, "rdma"), format_text("{} is no device name", quote(limit.device)));
    if (!limit.hca_handles.has_value() && !limit.hca_objects.has_value())
      return rule_error(at(pointer, "rdma"), format_text("{} needs \"hcaHandles\" or \"hcaObjects\"", quote(limit.device)));
  }
  return ok();
}

}  // namespace

Status validate_resources(const Resources& resources, std::string_view pointer) {
  TRY(check_device_rules(resources.devices, pointer));
  if (resources.memory.has_value()) TRY(check_memory(*resources.memory, at(pointer, "memory")));
  if (resources.cpu.has_value()) TRY(check_cpu(*resources.cpu, at(pointer, "cpu")));
  if (resources.pids_limit.value_or(0) < -1)
    return rule_error(at(pointer, "pids/limit"), format_text("{} is neither a count nor -1", *resources.pids_limit));
  if (resources.block_io.has_value()) TRY(check_block_io(*resources.block_io, at(pointer, "blockIO")));
  TRY(check_named_limits(resources, pointer));
  return check_unified(resources.unified, at(pointer, "unified"));
}

}  // namespace husk::oci
