// Mounts of a container that is there already: into it and out of it again, in this order:
//   plan_live_mounts (pure) → prepare_live_mounts (host side) → a child enters the container's namespaces
//   → attach_live_mounts, or detach_live_mounts.
// The container may run and may be hostile: names in it change while we look. A place is found once, in the
// container's own root, and what was found is used by descriptor.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"
#include "rootfs/peers.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {

// `spec` is the container's; its own mounts are left out of the plan.
// Errors: invalid; unsupported for what a mount namespace alone cannot give (proc, cgroup v1, remount).
Result<RootfsPlan> plan_live_mounts(oci::Spec spec, const std::vector<oci::Mount>& mounts, PlanOptions options);
// Binds, and file systems whose sources are host paths (overlay, disks), are made here.
Result<HostHandles> prepare_live_mounts(const RootfsPlan& plan);
// Clean destinations. Errors: invalid, for "/" and what is inside /proc.
Result<std::vector<std::string>> plan_live_removal(const std::vector<oci::Mount>& mounts);

// What the child has in the container's mount namespace.
struct ContainerSide {
  RootDir root;
  UniqueFd proc;                        // the host's /proc: mounts are detached through its self/fd
  std::vector<PeerGroup> host_groups;   // peer_groups of the host's mounts
};
// All or none. Missing mount points are made and stay, as in create. A place whose mount shares with the host is
// refused: through a link of the container's any mount could be made to appear there.
Status attach_live_mounts(const RootfsPlan& plan, HostHandles& handles, const ContainerSide& side);
// All or none: what is no mount point is an error before anything is detached.
Status detach_live_mounts(const std::vector<std::string>& destinations, const ContainerSide& side);

}  // namespace husk::rootfs
