// User namespaces that only carry an id mapping, for idmapped mounts.
// Source: man 2 mount_setattr, "ID-mapped mounts"; runtime-spec config.md#mounts, uidMappings.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"

namespace husk::rootfs {

// The text of /proc/PID/uid_map and gid_map. Source: man 7 user_namespaces.
std::string id_map_text(const std::vector<oci::IdMapping>& mappings);

// Returns /proc/PID/ns/user of a new user namespace with these mappings; the namespace lives as long as
// the descriptor or a mount that uses it. The caller must be single-threaded (clone3).
Result<UniqueFd> open_id_map(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);

}  // namespace husk::rootfs
