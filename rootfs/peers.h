// Which mounts share what is mounted below them: "shared:N" and "master:N" of mountinfo. The numbers of peer
// groups are the kernel's own and the same in every mount namespace.
// Source: man 5 proc_pid_mountinfo, optional fields; man 7 mount_namespaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace husk::rootfs {

using PeerGroup = std::uint64_t;
// The groups that any mount of this mountinfo belongs to or receives from, sorted.
std::vector<PeerGroup> peer_groups(std::string_view mountinfo);
struct MountIds {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
};
std::optional<MountIds> find_mount_ids(std::string_view mountinfo, std::uint64_t mount_id);
// The group that the mount with this id shares with; nothing when it is no shared mount.
std::optional<PeerGroup> shared_group(std::string_view mountinfo, std::uint64_t mount_id);

}  // namespace husk::rootfs
