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
  std::uint64_t namespaces = 0;  // CLONE_NEW* to enter; pid was entered by the parent
  bool joins_user = false;
  const UniqueFd& root;          // its root directory, for a container made with --no-pivot; else closed
  const UniqueFd& console;
  const FileIdentity& own;
  int preserve_fds = 0;
  std::vector<int> close_first;
};
[[noreturn]] void run_exec(ExecInput& input);

}  // namespace husk::runtime
