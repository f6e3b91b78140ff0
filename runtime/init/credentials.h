// Capabilities, user and groups of the calling process, for good. Raw system calls only.
// Source: man 7 capabilities, man 2 capset.
#pragma once

#include "base/result.h"
#include "handshake.h"
#include "process_plan.h"

namespace husk::runtime {

// Becomes user and group 0 of a user namespace just entered, where those are mapped.
Status become_namespace_root();

// Leaves only what apply_credentials and the set-up of a process in its namespaces need, beside what the plan gives: a
// process of the container that may trace us has our capabilities, too. Before the clone into its pid namespace.
Status give_up_capabilities(const ProcessPlan& plan);

// Bounding set, groups, gid, uid, the four sets and the ambient set, in the order that keeps the
// right to do the next step. Capabilities that cannot be granted are a warning.
Status apply_credentials(const ProcessPlan& plan, const Channel& channel);

}  // namespace husk::runtime
