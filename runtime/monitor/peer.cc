#include "monitor/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/format.h"
#include "base/sys.h"

namespace husk::monitor {

Result<UniqueFd> listen_private(const std::string& path) {
  const auto removed = sys::unlinkat(AT_FDCWD, path);
  if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed.error();
  return sys::listen_unix(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 16, 0600);
}

Result<UniqueFd> accept_trusted(int listener) {
  auto fd = TRY(sys::accept(listener));
  const auto peer = TRY(sys::peer_credentials(fd.get()));
  if (peer.uid != 0 && peer.uid != ::geteuid())
    return Error{Kind::denied, format_text("connection of process {} with uid {} refused", peer.pid, peer.uid)};
  TRY(sys::set_nonblocking(fd.get(), true));
  return fd;
}

}  // namespace husk::monitor
