// Where the terminal of a new process goes, and who gets its pidfd: reached before anything is made.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::runtime {

struct Console {
  UniqueFd child;   // where the process sends the master
  UniqueFd master;  // our end of it, when the terminal is shown on ours
  UniqueFd pidfd;   // --pidfd-socket
};
// Sockets by their paths, "" for none. `terminal`: whether the process has one.
Result<Console> connect_console(bool terminal, const std::string& console_socket, const std::string& pidfd_socket);

// The master that the process has sent; closed when it goes to somebody else, or there is none.
Result<UniqueFd> receive_terminal(const Console& console);

}  // namespace husk::runtime
