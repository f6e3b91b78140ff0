#include "console.h"

#include <sys/socket.h>

#include "base/sys.h"
#include "pidfd_socket.h"

namespace husk::runtime {

Result<Console> connect_console(bool terminal, const std::string& console_socket, const std::string& pidfd_socket) {
  Console console;
  console.pidfd = TRY(connect_pidfd_socket(pidfd_socket));
  if (!terminal) return console;
  if (!console_socket.empty()) {
    console.child = TRY(sys::connect_unix(console_socket, SOCK_STREAM).during("connect to the console socket"));
    return console;
  }
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  console.child = std::move(pair.first);
  console.master = std::move(pair.second);
  return console;
}

Result<UniqueFd> receive_terminal(const Console& console) {
  if (!console.master.is_open()) return UniqueFd{};
  auto received = TRY(sys::receive_message(console.master.get(), 64));
  if (received.fds.size() != 1) return Error{Kind::internal, "the process sent no terminal"};
  return std::move(received.fds.front());
}

}  // namespace husk::runtime
