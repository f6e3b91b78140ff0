#include "oci-spec/names.h"
#include "oci-spec/write_parts.h"

namespace husk::oci {
namespace {

Json namespace_json(const Namespace& item) {
  Json json = Json::object();
  json.set("type", Json{namespace_name(item.type)});
  put(json, "path", item.path);
  return json;
}

Json device_json(const Device& device) {
  Json json = Json::object();
  json.set("type", Json{std::string(1, device.type)});
  json.set("path", Json{device.path});
  put_required(json, "major", device.major);
  put_required(json, "minor", device.minor);
  put(json, "fileMode", device.file_mode);
  put(json, "uid", device.uid);
  put(json, "gid", device.gid);
  return json;
}

void put_net_devices(Json& object, const std::vector<NetDevice>& devices) {
  if (devices.empty()) return;
  Json members = Json::object();
  for (const auto& device : devices) {
    Json json = Json::object();
    put(json, "name", device.name);
    members.append(device.host_name, std::move(json));
  }
  object.set("netDevices", std::move(members));
}

Json time_offset_json(const TimeOffset& offset) {
  Json json = Json::object();
  put(json, "secs", offset.seconds);
  put(json, "nanosecs", offset.nanoseconds);
  return json;
}

void put_time_offsets(Json& object, const Linux& linux_part) {
  if (!linux_part.time_offset_monotonic.has_value() && !linux_part.time_offset_boottime.has_value()) return;
  Json json = Json::object();
  put_object(json, "monotonic", linux_part.time_offset_monotonic, time_offset_json);
  put_object(json, "boottime", linux_part.time_offset_boottime, time_offset_json);
  object.set("timeOffsets", std::move(json));
}

Json intel_rdt_json(const IntelRdt& rdt) {
  Json json = Json::object();
  put(json, "closID", rdt.clos_id);
  put(json, "schemata", rdt.schemata);
  put(json, "l3CacheSchema", rdt.l3_cache_schema);
  put(json, "memBwSchema", rdt.mem_bw_schema);
  put(json, "enableMonitoring", rdt.enable_monitoring);
  put(json, "enableCMT", rdt.enable_cmt);
  put(json, "enableMBM", rdt.enable_mbm);
  return json;
}

Json memory_policy_json(const MemoryPolicy& policy) {
  Json json = Json::object();
  json.set("mode", Json{policy.mode});
  put(json, "nodes", policy.nodes);
  put(json, "flags", policy.flags);
  return json;
}

Json personality_json(const Personality& personality) {
  Json json = Json::object();
  json.set("domain", Json{personality.domain});
  put(json, "flags", personality.flags);
  return json;
}

Json seccomp_argument_json(const SeccompArg& argument) {
  Json json = Json::object();
  put_required(json, "index", argument.index);
  put_required(json, "value", argument.value);
  put(json, "valueTwo", argument.value_two);
  json.set("op", Json{argument.op});
  return json;
}

Json seccomp_rule_json(const SeccompRule& rule) {
  Json json = Json::object();
  json.set("names", Json{rule.names});
  json.set("action", Json{rule.action});
  put(json, "errnoRet", rule.errno_ret);
  put_list(json, "args", rule.args, seccomp_argument_json);
  return json;
}

Json seccomp_json(const Seccomp& seccomp) {
  Json json = Json::object();
  json.set("defaultAction", Json{seccomp.default_action});
  put(json, "defaultErrnoRet", seccomp.default_errno_ret);
  put(json, "architectures", seccomp.architectures);
  put(json, "flags", seccomp.flags);
  put(json, "listenerPath", seccomp.listener_path);
  put(json, "listenerMetadata", seccomp.listener_metadata);
  put_list(json, "syscalls", seccomp.syscalls, seccomp_rule_json);
  return json;
}

}  // namespace

Json linux_json(const Linux& linux_part) {
  Json json = Json::object();
  put_list(json, "uidMappings", linux_part.uid_mappings, id_mapping_json);
  put_list(json, "gidMappings", linux_part.gid_mappings, id_mapping_json);
  put(json, "sysctl", linux_part.sysctl);
  Json resources = resources_json(linux_part.resources);
  if (!resources.as_object()->empty()) json.set("resources", std::move(resources));
  put(json, "cgroupsPath", linux_part.cgroups_path);
  put_list(json, "namespaces", linux_part.namespaces, namespace_json);
  put_list(json, "devices", linux_part.devices, device_json);
  put_net_devices(json, linux_part.net_devices);
  put_object(json, "seccomp", linux_part.seccomp, seccomp_json);
  put(json, "rootfsPropagation", linux_part.rootfs_propagation);
  put(json, "maskedPaths", linux_part.masked_paths);
  put(json, "readonlyPaths", linux_part.readonly_paths);
  put(json, "mountLabel", linux_part.mount_label);
  put_object(json, "intelRdt", linux_part.intel_rdt, intel_rdt_json);
  put_object(json, "memoryPolicy", linux_part.memory_policy, memory_policy_json);
  put_object(json, "personality", linux_part.personality, personality_json);
  put_time_offsets(json, linux_part);
  return json;
}

}  // namespace husk::oci
