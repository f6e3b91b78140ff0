#include "oci-spec/fields.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {

// config-linux.md#configLinuxUserNamespaceMappings
Result<IdMapping> read_id_mapping(const JsonReader& json) {
  IdMapping mapping;
  TRY(read_required(json, "containerID", mapping.container_id));
  TRY(read_required(json, "hostID", mapping.host_id));
  TRY(read_required(json, "size", mapping.size));
  return mapping;
}

// config.md#configMounts
Result<Mount> read_mount(const JsonReader& json) {
  Mount mount;
  TRY(read_required(json, "destination", mount.destination));
  TRY(read(json, "type", mount.type));
  TRY(read(json, "source", mount.source));
  TRY(read(json, "options", mount.options));
  TRY(read_list(json, "uidMappings", mount.uid_mappings, kMaxIdMappings, read_id_mapping));
  TRY(read_list(json, "gidMappings", mount.gid_mappings, kMaxIdMappings, read_id_mapping));
  if (mount.destination.empty()) return json.error("\"destination\" must not be empty");
  // "it MAY be a relative path, in which case it MUST be interpreted as relative to "/"".
  if (mount.destination.front() != '/') mount.destination.insert(0, "/");
  return mount;
}

}  // namespace husk::oci
