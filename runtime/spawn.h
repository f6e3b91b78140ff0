// Room 6 of create, the parent's side: one clone3 for the namespaces and the cgroup, then id maps,
// hooks of the host side, and the wait until init is ready. init/init.cc is the other side.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"
#include "base/rollback.h"
#include "cgroups/cgroup.h"
#include "handshake.h"
#include "oci-spec/state.h"
#include "plan.h"

namespace husk::runtime {

struct InitProcess {
  pid_t pid = 0;
  UniqueFd pidfd;
  Channel channel;
};
struct SpawnInput {
  const ContainerPlan& plan;
  cgroups::Cgroup& cgroup;
  UniqueFd& start_socket;         // see InitInput
  const UniqueFd& console;
  int preserve_fds = 0;
  int listen_fds = 0;
  std::vector<int> close_in_child;
};
// When it must wait for something of ours, or has hooks to run, the child does nothing until it is told
// to go on; else it sets itself up meanwhile. `undo` gets the step that ends the child.
Result<InitProcess> clone_init(const SpawnInput& input, Rollback& undo);

// The process that `stage`, a child that does nothing else, cloned with CLONE_PARENT and told us about.
Result<InitProcess> adopt_staged(const Channel& channel, const UniqueFd& stage);

// Id maps, oom score, hooks; returns when everything but the program is set up, and without a start
// socket when the program runs.
// `state`: for hooks of the host side.
Status set_up_init(const SpawnInput& input, const InitProcess& init, const oci::State& state);

// A child that went away without a word: what is known about why.
Error explain_death(const InitProcess& init, const std::string& cgroup_path, Error error);

// Lowering it below the caller's own needs CAP_SYS_RESOURCE: then it stays, with one warning. `warned`: it was said
// already, by create.
Status set_oom_score(const ProcessPlan& plan, pid_t pid, bool warned);

}  // namespace husk::runtime
