// --pidfd-socket: the caller gets a pidfd of the new process, which no reuse of its pid can fool.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::runtime {

// A unix stream socket that somebody listens on; closed for "".
Result<UniqueFd> connect_pidfd_socket(const std::string& path);
// One message "pidfd" with the descriptor; nothing on a closed connection.
Status send_pidfd(const UniqueFd& connection, const UniqueFd& pidfd);

}  // namespace husk::runtime
