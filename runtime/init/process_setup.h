// What the child does for the process itself once its root is entered; shared by create and exec.
#pragma once

#include "base/root_dir.h"
#include "handshake.h"
#include "init/payload.h"
#include "process_plan.h"

namespace husk::runtime {

// Session and keyring; before a terminal is taken.
Status start_session(const ProcessPlan& plan, const UniqueFd& proc);

// Scheduling, limits, working directory, credentials, the program: everything up to the exec.
// `root` is "/" of the process. Errors carry the step.
Result<Payload> set_up_process(const ProcessPlan& plan, const RootDir& root, const Channel& channel,
                               const FileIdentity& own, const UniqueFd& proc);

}  // namespace husk::runtime
