// Who may talk to the monitor: root and the monitor's own user, checked by the kernel's word.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

// Listens with mode 0600, without blocking, after removing a socket that a dead process left.
Result<UniqueFd> listen_private(const std::string& path);

// The next connection, non-blocking. Errors: denied (closed already); busy (nobody there).
Result<UniqueFd> accept_trusted(int listener);

}  // namespace husk::monitor
