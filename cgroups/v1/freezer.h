// The v1 freezer, for hosts without a v2 hierarchy beside it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace husk::cgroups::v1 {

Status freeze(const std::string& directory);
Status thaw(const std::string& directory);
Result<bool> is_frozen(const std::string& directory);
// Waits for the end of each process. Errors: timed_out.
Status wait_for_exit(const std::vector<pid_t>& processes, int timeout_ms);

}  // namespace husk::cgroups::v1
