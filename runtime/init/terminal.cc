#include "init/terminal.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "base/sys.h"

namespace husk::runtime {
namespace {

// Character devices 136-143 are pty slaves, 4 are consoles and serial lines.
// Source: linux/major.h.
bool is_terminal(dev_t device) {
  const auto number = major(device);
  return number == 4 || (number >= 136 && number <= 143);
}

}  // namespace

Status take_terminal(rootfs::Terminal terminal, const UniqueFd& console, const ProcessPlan& plan) {
  if (plan.console_size.has_value()) {
    winsize size{};
    size.ws_row = static_cast<unsigned short>(plan.console_size->height);
    size.ws_col = static_cast<unsigned short>(plan.console_size->width);
    TRY(sys::ioctl(terminal.master.get(), TIOCSWINSZ, &size, "TIOCSWINSZ"));
  }
  TRY(sys::fchown(terminal.slave.get(), plan.uid, static_cast<gid_t>(-1)).during("give the terminal to the user"));
  TRY(sys::send_message(console.get(), "/dev/ptmx", {terminal.master.get()}).during("send the terminal to the console socket"));
  TRY(sys::ioctl(terminal.slave.get(), TIOCSCTTY, nullptr, "TIOCSCTTY").during("take the controlling terminal"));
  for (int target = 0; target < 3; ++target) TRY(sys::dup2_inherited(terminal.slave.get(), target));
  return ok();
}

void give_stdio(const ProcessPlan& plan) {
  for (int fd = 0; fd < 3; ++fd) {
    const auto info = sys::fstat(fd);
    if (!info.has_value()) continue;
    const auto mode = info.value().st_mode;
    if (!S_ISFIFO(mode) && !(S_ISCHR(mode) && is_terminal(info.value().st_rdev))) continue;
    // Someone else's stream on a read-only or foreign file system stays as it is: writing still works.
    (void)sys::fchown(fd, plan.uid, static_cast<gid_t>(-1));
  }
}

}  // namespace husk::runtime
