#include "oci-spec/write_parts.h"

namespace husk::oci {
namespace {

Json device_rule_json(const DeviceRule& rule) {
  Json json = Json::object();
  json.set("allow", Json{rule.allow});
  if (rule.type != 'a') json.set("type", Json{std::string(1, rule.type)});
  put(json, "major", rule.major);
  put(json, "minor", rule.minor);
  put(json, "access", rule.access);
  return json;
}

Json memory_json(const MemoryLimits& memory) {
  Json json = Json::object();
  put(json, "limit", memory.limit);
  put(json, "reservation", memory.reservation);
  put(json, "swap", memory.swap);
  put(json, "kernel", memory.kernel);
  put(json, "kernelTCP", memory.kernel_tcp);
  put(json, "swappiness", memory.swappiness);
  put(json, "disableOOMKiller", memory.disable_oom_killer);
  put(json, "useHierarchy", memory.use_hierarchy);
  put(json, "checkBeforeUpdate", memory.check_before_update);
  return json;
}

Json cpu_json(const CpuLimits& cpu) {
  Json json = Json::object();
  put(json, "shares", cpu.shares);
  put(json, "quota", cpu.quota);
  put(json, "burst", cpu.burst);
  put(json, "period", cpu.period);
  put(json, "realtimeRuntime", cpu.realtime_runtime);
  put(json, "realtimePeriod", cpu.realtime_period);
  put(json, "cpus", cpu.cpus);
  put(json, "mems", cpu.mems);
  put(json, "idle", cpu.idle);
  return json;
}

Json weight_device_json(const WeightDevice& device) {
  Json json = Json::object();
  put_required(json, "major", device.major);
  put_required(json, "minor", device.minor);
  put(json, "weight", device.weight);
  put(json, "leafWeight", device.leaf_weight);
  return json;
}

Json throttle_device_json(const ThrottleDevice& device) {
  Json json = Json::object();
  put_required(json, "major", device.major);
  put_required(json, "minor", device.minor);
  put_required(json, "rate", device.rate);
  return json;
}

Json block_io_json(const BlockIoLimits& io) {
  Json json = Json::object();
  put(json, "weight", io.weight);
  put(json, "leafWeight", io.leaf_weight);
  put_list(json, "weightDevice", io.weight_devices, weight_device_json);
  put_list(json, "throttleReadBpsDevice", io.read_bps, throttle_device_json);
  put_list(json, "throttleWriteBpsDevice", io.write_bps, throttle_device_json);
  put_list(json, "throttleReadIOPSDevice", io.read_iops, throttle_device_json);
  put_list(json, "throttleWriteIOPSDevice", io.write_iops, throttle_device_json);
  return json;
}

Json hugepage_json(const HugepageLimit& limit) {
  Json json = Json::object();
  json.set("pageSize", Json{limit.page_size});
  put_required(json, "limit", limit.limit);
  return json;
}

Json interface_priority_json(const InterfacePriority& priority) {
  Json json = Json::object();
  json.set("name", Json{priority.name});
  put_required(json, "priority", priority.priority);
  return json;
}

Json network_json(const NetworkLimits& network) {
  Json json = Json::object();
  put(json, "classID", network.class_id);
  put_list(json, "priorities", network.priorities, interface_priority_json);
  return json;
}

void put_rdma(Json& object, const std::vector<RdmaLimit>& limits) {
  if (limits.empty()) return;
  Json devices = Json::object();
  for (const auto& limit : limits) {
    Json json = Json::object();
    put(json, "hcaHandles", limit.hca_handles);
    put(json, "hcaObjects", limit.hca_objects);
    devices.append(limit.device, std::move(json));
  }
  object.set("rdma", std::move(devices));
}

Json pids_json(std::int64_t limit) {
  Json json = Json::object();
  put_required(json, "limit", limit);
  return json;
}

}  // namespace

Json resources_json(const Resources& resources) {
  Json json = Json::object();
  put_list(json, "devices", resources.devices, device_rule_json);
  put_object(json, "memory", resources.memory, memory_json);
  put_object(json, "cpu", resources.cpu, cpu_json);
  put_object(json, "pids", resources.pids_limit, pids_json);
  put_object(json, "blockIO", resources.block_io, block_io_json);
  put_list(json, "hugepageLimits", resources.hugepage_limits, hugepage_json);
  put_object(json, "network", resources.network, network_json);
  put_rdma(json, resources.rdma);
  put(json, "unified", resources.unified);
  return json;
}

}  // namespace husk::oci
