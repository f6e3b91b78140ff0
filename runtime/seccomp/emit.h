// FilterPlan → BPF program. Pure. Source: linux/filter.h; man 2 seccomp.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "seccomp/plan.h"

namespace husk::runtime {

std::vector<sock_filter> emit_filter(const FilterPlan& plan);

}  // namespace husk::runtime
