#include "init/loopback.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/sys.h"

namespace husk::runtime {

Status raise_loopback() {
  // A unix socket takes requests for devices too, and is there without CONFIG_INET. Source: man 7 netdevice.
  const auto socket = TRY(sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC));
  ifreq request{.ifr_ifrn = {.ifrn_name = "lo"}, .ifr_ifru = {.ifru_flags = IFF_UP}};
  TRY(sys::ioctl(socket.get(), SIOCSIFFLAGS, &request, "SIOCSIFFLAGS, lo, IFF_UP"));
  return ok();
}

}  // namespace husk::runtime
