#include "base/format.h"
#include "base/text.h"
#include "oci-spec/fields.h"
#include "oci-spec/names.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

// config-linux.md#configLinuxNamespaces
Result<Namespace> read_namespace(const JsonReader& json) {
  std::string type;
  TRY(read_required(json, "type", type));
  const auto known = find_namespace_type(type);
  if (!known.has_value()) return json.error(format_text("unknown namespace type {}", quote(type)));
  Namespace result{.type = *known, .path = {}};
  TRY(read(json, "path", result.path));
  return result;
}

// config-linux.md#configLinuxDevices
Result<Device> read_device(const JsonReader& json) {
  Device device;
  std::string type;
  TRY(read_required(json, "type", type));
  if (type.size() != 1 || std::string_view{"cbup"}.find(type) == std::string_view::npos)
    return json.error(format_text("device type {} is none of \"c\", \"b\", \"u\", \"p\"", quote(type)));
  device.type = type.front();
  TRY(read_required(json, "path", device.path));
  if (device.type == 'p') {  // a FIFO has no numbers
    TRY(read(json, "major", device.major));
    TRY(read(json, "minor", device.minor));
  } else {
    TRY(read_required(json, "major", device.major));
    TRY(read_required(json, "minor", device.minor));
  }
  TRY(read(json, "fileMode", device.file_mode));
  TRY(read(json, "uid", device.uid));
  TRY(read(json, "gid", device.gid));
  return device;
}

// config-linux.md#configLinuxNetworkDevices: a map from host name to properties.
Result<std::vector<NetDevice>> read_net_devices(const JsonReader& json) {
  std::vector<NetDevice> devices;
  for (const auto& member : TRY(json.members())) {
    TRY(member.value.expect_object());
    NetDevice device{.host_name = member.name, .name = {}};
    TRY(read(member.value, "name", device.name));
    devices.push_back(std::move(device));
  }
  TRY(check_count(json, devices.size(), kMaxSettings));
  return devices;
}

Result<TimeOffset> read_time_offset(const JsonReader& json) {
  TimeOffset offset;
  TRY(read(json, "secs", offset.seconds));
  TRY(read(json, "nanosecs", offset.nanoseconds));
  return offset;
}

// config-linux.md#configLinuxTimeOffset. Clocks with an offset: man 7 time_namespaces.
Status read_time_offsets(const JsonReader& json, Linux& linux_part) {
  const auto offsets = json.find("timeOffsets");
  if (!offsets.has_value()) return ok();
  for (const auto& member : TRY(offsets->members())) {
    if (member.name != "monotonic" && member.name != "boottime")
      return member.value.error("no such clock: only \"monotonic\" and \"boottime\" have an offset");
  }
  TRY(read_object(*offsets, "monotonic", linux_part.time_offset_monotonic, read_time_offset));
  return read_object(*offsets, "boottime", linux_part.time_offset_boottime, read_time_offset);
}

// config-linux.md#configLinuxIntelRdt; enableCMT and enableMBM: 1.1 to 1.2.
Result<IntelRdt> read_intel_rdt(const JsonReader& json) {
  IntelRdt rdt;
  TRY(read(json, "closID", rdt.clos_id));
  TRY(read(json, "schemata", rdt.schemata));
  TRY(read(json, "l3CacheSchema", rdt.l3_cache_schema));
  TRY(read(json, "memBwSchema", rdt.mem_bw_schema));
  TRY(read(json, "enableMonitoring", rdt.enable_monitoring));
  TRY(read(json, "enableCMT", rdt.enable_cmt));
  TRY(read(json, "enableMBM", rdt.enable_mbm));
  return rdt;
}

Result<MemoryPolicy> read_memory_policy(const JsonReader& json) {
  MemoryPolicy policy;
  TRY(read_required(json, "mode", policy.mode));
  TRY(read(json, "nodes", policy.nodes));
  TRY(read(json, "flags", policy.flags));
  return policy;
}

Result<Personality> read_personality(const JsonReader& json) {
  Personality personality;
  TRY(read_required(json, "domain", personality.domain));
  TRY(read(json, "flags", personality.flags));
  return personality;
}

}  // namespace

Result<Linux> read_linux(const JsonReader& json) {
  Linux linux_part;
  TRY(read_list(json, "namespaces", linux_part.namespaces, kMaxStrings, read_namespace));
  TRY(read_list(json, "uidMappings", linux_part.uid_mappings, kMaxIdMappings, read_id_mapping));
  TRY(read_list(json, "gidMappings", linux_part.gid_mappings, kMaxIdMappings, read_id_mapping));
  TRY(read_time_offsets(json, linux_part));
  TRY(read_list(json, "devices", linux_part.devices, kMaxDevices, read_device));
  TRY(read_object(json, "netDevices", linux_part.net_devices, read_net_devices));
  TRY(read(json, "cgroupsPath", linux_part.cgroups_path));
  TRY(read_object(json, "resources", linux_part.resources, read_resources));
  TRY(read_object(json, "intelRdt", linux_part.intel_rdt, read_intel_rdt));
  TRY(read_object(json, "memoryPolicy", linux_part.memory_policy, read_memory_policy));
  TRY(read(json, "sysctl", linux_part.sysctl, kMaxSettings));
  TRY(read_object(json, "seccomp", linux_part.seccomp, read_seccomp));
  TRY(read(json, "rootfsPropagation", linux_part.rootfs_propagation));
  TRY(read(json, "maskedPaths", linux_part.masked_paths, kMaxPaths));
  TRY(read(json, "readonlyPaths", linux_part.readonly_paths, kMaxPaths));
  TRY(read(json, "mountLabel", linux_part.mount_label));
  TRY(read_object(json, "personality", linux_part.personality, read_personality));
  return linux_part;
}

}  // namespace husk::oci
