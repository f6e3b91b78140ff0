#include <algorithm>
#include <array>

#include "oci-spec/fields.h"
#include "oci-spec/parse_config.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

// config-linux.md#configLinuxDeviceAllowedlist
Result<DeviceRule> read_device_rule(const JsonReader& json) {
  DeviceRule rule;
  const auto allow = TRY(json.require("allow"));
  rule.allow = TRY(allow.boolean());
  std::string type;
  TRY(read(json, "type", type));
  if (type.size() > 1 || (type.size() == 1 && std::string_view{"abc"}.find(type) == std::string_view::npos))
    return json.error("\"type\" must be \"a\", \"b\" or \"c\"");
  if (!type.empty()) rule.type = type.front();
  TRY(read(json, "major", rule.major));
  TRY(read(json, "minor", rule.minor));
  TRY(read(json, "access", rule.access));
  // Left out it means all; runc takes an empty one for none.
  if (const auto access = json.find("access"); access.has_value() && rule.access.empty())
    return access->error("must name \"r\", \"w\" or \"m\"; leave it out for all of them");
  return rule;
}

// config-linux.md#configLinuxMemory
Result<MemoryLimits> read_memory(const JsonReader& json) {
  MemoryLimits memory;
  TRY(read(json, "limit", memory.limit));
  TRY(read(json, "reservation", memory.reservation));
  TRY(read(json, "swap", memory.swap));
  TRY(read(json, "kernel", memory.kernel));
  TRY(read(json, "kernelTCP", memory.kernel_tcp));
  TRY(read(json, "swappiness", memory.swappiness));
  TRY(read(json, "disableOOMKiller", memory.disable_oom_killer));
  TRY(read(json, "useHierarchy", memory.use_hierarchy));
  TRY(read(json, "checkBeforeUpdate", memory.check_before_update));
  return memory;
}

// config-linux.md#configLinuxCPU
Result<CpuLimits> read_cpu(const JsonReader& json) {
  CpuLimits cpu;
  TRY(read(json, "shares", cpu.shares));
  TRY(read(json, "quota", cpu.quota));
  TRY(read(json, "burst", cpu.burst));
  TRY(read(json, "period", cpu.period));
  TRY(read(json, "realtimeRuntime", cpu.realtime_runtime));
  TRY(read(json, "realtimePeriod", cpu.realtime_period));
  TRY(read(json, "cpus", cpu.cpus));
  TRY(read(json, "mems", cpu.mems));
  TRY(read(json, "idle", cpu.idle));
  return cpu;
}

Result<WeightDevice> read_weight_device(const JsonReader& json) {
  WeightDevice device;
  TRY(read_required(json, "major", device.major));
  TRY(read_required(json, "minor", device.minor));
  TRY(read(json, "weight", device.weight));
  TRY(read(json, "leafWeight", device.leaf_weight));
  return device;
}

Result<ThrottleDevice> read_throttle_device(const JsonReader& json) {
  ThrottleDevice device;
  TRY(read_required(json, "major", device.major));
  TRY(read_required(json, "minor", device.minor));
  TRY(read_required(json, "rate", device.rate));
  return device;
}

// config-linux.md#configLinuxBlockIO
Result<BlockIoLimits> read_block_io(const JsonReader& json) {
  BlockIoLimits io;
  TRY(read(json, "weight", io.weight));
  TRY(read(json, "leafWeight", io.leaf_weight));
  TRY(read_list(json, "weightDevice", io.weight_devices, kMaxDevices, read_weight_device));
  TRY(read_list(json, "throttleReadBpsDevice", io.read_bps, kMaxDevices, read_throttle_device));
  TRY(read_list(json, "throttleWriteBpsDevice", io.write_bps, kMaxDevices, read_throttle_device));
  TRY(read_list(json, "throttleReadIOPSDevice", io.read_iops, kMaxDevices, read_throttle_device));
  TRY(read_list(json, "throttleWriteIOPSDevice", io.write_iops, kMaxDevices, read_throttle_device));
  return io;
}

// config-linux.md#configLinuxHugePageLimits
Result<HugepageLimit> read_hugepage_limit(const JsonReader& json) {
  HugepageLimit limit;
  TRY(read_required(json, "pageSize", limit.page_size));
  TRY(read_required(json, "limit", limit.limit));
  return limit;
}

Result<InterfacePriority> read_interface_priority(const JsonReader& json) {
  InterfacePriority priority;
  TRY(read_required(json, "name", priority.name));
  TRY(read_required(json, "priority", priority.priority));
  return priority;
}

// config-linux.md#configLinuxNetwork
Result<NetworkLimits> read_network(const JsonReader& json) {
  NetworkLimits network;
  TRY(read(json, "classID", network.class_id));
  TRY(read_list(json, "priorities", network.priorities, kMaxSettings, read_interface_priority));
  return network;
}

// config-linux.md#configLinuxPIDS. Until runtime-spec 1.3 "limit" was REQUIRED; absent means untouched.
Result<std::optional<std::int64_t>> read_pids(const JsonReader& json) { return json.find_int64("limit"); }

// config-linux.md#configLinuxRDMA: a map from device name to limits.
Result<std::vector<RdmaLimit>> read_rdma(const JsonReader& json) {
  std::vector<RdmaLimit> limits;
  for (const auto& member : TRY(json.members())) {
    TRY(member.value.expect_object());
    RdmaLimit limit{.device = member.name, .hca_handles = {}, .hca_objects = {}};
    TRY(read(member.value, "hcaHandles", limit.hca_handles));
    TRY(read(member.value, "hcaObjects", limit.hca_objects));
    limits.push_back(std::move(limit));
  }
  TRY(check_count(json, limits.size(), kMaxSettings));
  return limits;
}

constexpr std::array<std::string_view, 9> kMembers{"devices",        "memory",  "cpu",  "pids",   "blockIO",
                                                   "hugepageLimits", "network", "rdma", "unified"};

// A whole config.json, or its "resources" with the name, would change nothing without a word. {} is what callers send
// that have nothing to change, and null what some write for "as it is".
Status check_form(const JsonReader& reader) {
  TRY(reader.expect_object());
  const auto& members = *reader.json().as_object();
  const auto is_known = [](const Json::Member& member) { return std::ranges::find(kMembers, member.name) != kMembers.end(); };
  if (members.empty() || std::ranges::any_of(members, is_known)) return ok();
  return Error{Kind::invalid, "no member of it is a limit"}.hint(
      "write the members of linux.resources alone, as {\"memory\":{\"limit\":67108864}}");
}

Result<Resources> parse_valid_resources(std::string_view text) {
  const auto json = TRY(parse_json(text));
  const JsonReader reader{json};
  TRY(check_form(reader));
  auto resources = TRY(read_resources(reader));
  TRY(validate_resources(resources, ""));
  return resources;
}

}  // namespace

// config-linux.md#configLinuxControlGroups
Result<Resources> read_resources(const JsonReader& json) {
  Resources resources;
  TRY(read_list(json, "devices", resources.devices, kMaxRules, read_device_rule));
  TRY(read_object(json, "memory", resources.memory, read_memory));
  TRY(read_object(json, "cpu", resources.cpu, read_cpu));
  TRY(read_object(json, "pids", resources.pids_limit, read_pids));
  TRY(read_object(json, "blockIO", resources.block_io, read_block_io));
  TRY(read_list(json, "hugepageLimits", resources.hugepage_limits, kMaxSettings, read_hugepage_limit));
  TRY(read_object(json, "network", resources.network, read_network));
  TRY(read_object(json, "rdma", resources.rdma, read_rdma));
  TRY(read(json, "unified", resources.unified, kMaxSettings));
  return resources;
}

Result<Resources> parse_resources(std::string_view text) {
  auto resources = parse_valid_resources(text);
  if (!resources.has_value()) return cite(std::move(resources).error(), "/linux/resources");
  return resources;
}

}  // namespace husk::oci
