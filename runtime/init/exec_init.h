// The child side of exec: enters the container's namespaces and becomes the program.
#pragma once

#include <string>
#include <vector>

#include "handshake.h"
#include "init/payload.h"
#include "process_plan.h"

namespace husk::runtime {

struct ExecInput {
  const ProcessPlan& plan;
  Channel& channel;
  std::vector<UniqueFd>& cgroup_entries;
  const UniqueFd& init;          // pidfd of the container's init
  std::uint64_t namespaces = 0;  // CLONE_NEW* to enter; pid is entered by whoever clones
  bool staged = false;           // run_exec_stage did the way into the container
  bool attached_later = false;   // staged: the way begins when the parent says that the cgroup is entered
  const UniqueFd& root;          // its root directory, for a container made with --no-pivot; else closed
  const UniqueFd& proc;          // as in InitInput, for labels
  const UniqueFd& console;
  const FileIdentity& own;
  int preserve_fds = 0;
  std::vector<int> close_first;
};
// Enters everything but the pid namespace, lets go of what is the host's and clones into it: returns in the new
// process, which CLONE_PARENT makes a child of husk. With CAP_SYS_PTRACE those who live there could else reach
// the host's root, or a descriptor, through a process that is still on its way (CVE-2016-9962).
void run_exec_stage(ExecInput& input);
[[noreturn]] void run_exec(ExecInput& input);

}  // namespace husk::runtime
