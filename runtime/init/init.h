// The child side of create: from clone3 to the exec of the container's program. Read `run_init`.
// It is a full copy of a single-threaded parent, so Result and strings are legal; NSS, locale, stdio
// and exit() are not (style 5.2).
#pragma once

#include <string>
#include <vector>

#include "handshake.h"
#include "init/payload.h"
#include "plan.h"
#include "rootfs/rootfs.h"

namespace husk::runtime {

struct InitInput {
  const ContainerPlan& plan;
  const rootfs::HostHandles& handles;
  const JoinHandles& joins;
  Channel& channel;               // the child's end
  UniqueFd& start_socket;         // listening; closed (run): the program follows without a wait
  std::vector<UniqueFd>& cgroup_entries;
  bool waits_for_go = true;       // handshake 1 comes first; else just before 4
  bool network_comes = false;     // NamespacePlan::parallel_network, until it is here
  const UniqueFd& console;        // where the terminal's master goes
  const UniqueFd& proc;           // the host's /proc, verified; closed when there are no sysctls and no labels
  const FileIdentity& own;
  int preserve_fds = 0;
  int listen_fds = 0;
  std::vector<int> close_first;   // descriptors of the parent that must not live on in the child
};
[[noreturn]] void run_init(InitInput& input);

// The stage between parent and init (NamespacePlan::staged): enters what must be entered before the
// clone, clones init as a sibling (CLONE_PARENT) and tells the parent its pid. Returns only in init.
void run_stage(InitInput& input);

}  // namespace husk::runtime
