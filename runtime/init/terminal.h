// The container's terminal: its master goes out through the console socket, its slave becomes stdio.
// Source: runtime-spec config.md#process, "terminal" and "consoleSize"; man 7 pty.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "process_plan.h"
#include "rootfs/rootfs.h"

namespace husk::runtime {

// Sends the master with one message (SCM_RIGHTS), sets the size, makes the slave the controlling
// terminal of this session and 0, 1 and 2, owned by the process's user.
Status take_terminal(rootfs::Terminal terminal, const UniqueFd& console, const ProcessPlan& plan);

// Without a terminal: gives pipes and terminals on 0, 1 and 2 to the process's user, so that it can
// open /dev/stdout again. Files, sockets of others and /dev/null stay (CVE-2026-88265).
void give_stdio(const ProcessPlan& plan);

}  // namespace husk::runtime
