#include "pidfd_socket.h"

#include <sys/socket.h>

#include "base/sys.h"

namespace husk::runtime {

Result<UniqueFd> connect_pidfd_socket(const std::string& path) {
  if (path.empty()) return UniqueFd{};
  return sys::connect_unix(path, SOCK_STREAM).during("connect to the pidfd socket").hint("the caller must listen on it");
}

Status send_pidfd(const UniqueFd& connection, const UniqueFd& pidfd) {
  if (!connection.is_open()) return ok();
  return sys::send_message(connection.get(), "pidfd", {pidfd.get()}).during("send the pidfd");
}

}  // namespace husk::runtime
