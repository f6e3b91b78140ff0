// cgroup.events: the kernel tells when a cgroup is frozen or empty. Source: cgroup-v2.rst.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::cgroups::v2 {

// Waits until the file says `key value` ("populated 0", "frozen 1"). A removed cgroup is not populated.
// Errors: timed_out, not_found.
Status wait_for_event(const std::string& directory, std::string_view key, std::uint64_t value, int timeout_ms);

// Freezes it until everybody is frozen, again when somebody who ends a process of it thaws it meanwhile, or
// until nobody is left. Errors: timed_out, not_found.
Status freeze_and_wait(const std::string& directory, int timeout_ms);

Result<std::uint64_t> read_event(const std::string& directory, std::string_view key);

}  // namespace husk::cgroups::v2
