#include "foreground.h"

#include <asm/termbits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "base/log.h"

namespace husk::runtime {
namespace {

bool is_forwarded(int signal) {
  switch (signal) {
    case SIGKILL:
    case SIGSTOP:  // cannot be caught
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
    case SIGSYS:
    case SIGTRAP:  // mean a fault of our own
    case SIGPIPE:
    case SIGURG: return false;
    default: return true;
  }
}

// Our own terminal in raw mode while the container's is shown on it. Source: man 3 cfmakeraw.
class RawTerminal {
 public:
  RawTerminal() {
    struct termios raw {};
    if (!sys::ioctl(STDIN_FILENO, TCGETS, &raw, "TCGETS").has_value()) return;
    saved_ = raw;
    raw.c_iflag &= ~static_cast<unsigned>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~static_cast<unsigned>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag &= ~static_cast<unsigned>(CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_oflag &= ~static_cast<unsigned>(OPOST);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)sys::ioctl(STDIN_FILENO, TCSETS, &raw, "TCSETS");  // a cooked terminal works too
  }
  bool is_terminal() const { return saved_.has_value(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (saved_.has_value()) (void)sys::ioctl(STDIN_FILENO, TCSETS, &*saved_, "TCSETS");
  }

 private:
  std::optional<struct termios> saved_;
};

void copy_size(const UniqueFd& terminal) {
  winsize size{};
  if (sys::ioctl(STDIN_FILENO, TIOCGWINSZ, &size, "TIOCGWINSZ").has_value())
    (void)sys::ioctl(terminal.get(), TIOCSWINSZ, &size, "TIOCSWINSZ");  // the old size stays
}

// One run of the loop: what goes between our stdio and the container's terminal.
class Carrier {
 public:
  explicit Carrier(UniqueFd terminal) : terminal_{std::move(terminal)} {
    if (!terminal_.is_open()) return;
    raw_.emplace();
    (void)sys::set_nonblocking(terminal_.get(), true);  // else one stuck reader stops the loop
    input_open_ = true;
  }
  bool is_open() const { return terminal_.is_open(); }
  void resize() const { copy_size(terminal_); }

  sys::PollEntry terminal_entry() const {
    const int wanted = POLLIN | (pending_.empty() ? 0 : POLLOUT);
    return {.fd = terminal_.get(), .events = static_cast<short>(wanted)};
  }
  sys::PollEntry input_entry() const {
    return {.fd = input_open_ && pending_.empty() ? STDIN_FILENO : -1, .events = POLLIN};
  }

  void take_input() {
    std::array<char, 4096> block;  // NOLINT: filled by read
    const auto got = sys::read_some(STDIN_FILENO, block);
    if (!got.has_value() || got.value() == 0) {
      input_open_ = false;
      input_ended_ = !raw_->is_terminal();
      give_end();
      return;
    }
    pending_.assign(block.data(), got.value());
    give_input();
  }
  void give_input() {
    if (pending_.empty()) return;
    const auto sent = sys::write_some(terminal_.get(), pending_);
    if (sent.has_value()) pending_.erase(0, sent.value());
    if (!sent.has_value() && sent.error().kind() != Kind::busy) pending_.clear();
  }
  // A pipe's end is the end of the terminal's input: VEOF, once in each mode of the terminal that a program
  // chooses. A VEOF that waits in the line discipline while a shell turns line editing on becomes a NUL there,
  // and nobody would see it. Source: man 3 termios, VEOF; drivers/tty/n_tty.c, n_tty_set_termios.
  void give_end() {
    struct termios mode {};
    if (!input_ended_ || !terminal_.is_open()) return;
    if (!sys::ioctl(terminal_.get(), TCGETS, &mode, "TCGETS").has_value()) return;
    const bool line_mode = (mode.c_lflag & ICANON) != 0;
    if (end_given_in_ == line_mode) return;
    end_given_in_ = line_mode;
    pending_ = "\x04";
    give_input();
  }
  // False when the other side is closed or has nothing more.
  bool show_output() {
    std::array<char, 16384> block;  // NOLINT: filled by read
    const auto got = sys::read_some(terminal_.get(), block);
    if (!got.has_value() && got.error().kind() == Kind::busy) return false;
    if (!got.has_value() || got.value() == 0) {
      terminal_.reset();
      return false;
    }
    (void)sys::write_all(STDOUT_FILENO, {block.data(), got.value()});  // nobody reads: the container goes on
    return true;
  }

 private:
  UniqueFd terminal_;
  std::optional<RawTerminal> raw_;
  std::string pending_;
  bool input_open_ = false;
  bool input_ended_ = false;          // stdin is no terminal and has nothing more
  std::optional<bool> end_given_in_;  // whether that was line mode
};

void forward(const UniqueFd& signals, const UniqueFd& pidfd, const Carrier& carrier) {
  std::array<signalfd_siginfo, 16> infos{};  // more come with the next poll
  const auto got = sys::read_some(signals.get(), {reinterpret_cast<char*>(infos.data()), sizeof infos});
  if (!got.has_value()) return;
  for (std::size_t i = 0; i < got.value() / sizeof infos[0]; ++i) {
    const auto& info = infos.at(i);
    const auto signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) continue;
    if (signal == SIGWINCH && carrier.is_open()) {
      carrier.resize();
      continue;
    }
    (void)sys::pidfd_send_signal(pidfd.get(), signal);  // over already: its status comes next
  }
}

// A host that stopped listening is no reason to end the container.
void pass_on(const NotifyProxy& notify) {
  const auto done = notify.pass_on(std::nullopt);
  if (!done.has_value()) log::debug(done.error().to_string());
}

// What the container said before its end.
void pass_on_rest(const NotifyProxy& notify) {
  std::vector<sys::PollEntry> entries{{.fd = notify.fd(), .events = POLLIN}};
  for (auto ready = sys::poll(entries, 0); ready.has_value() && ready.value() > 0; ready = sys::poll(entries, 0)) pass_on(notify);
}

// Orphans of the container end up here when we are a subreaper.
std::optional<int> reap(pid_t pid) {
  std::optional<int> status;
  for (;;) {
    const auto ended = sys::waitid_any(WEXITED | WNOHANG);
    if (!ended.has_value() || ended.value().pid == 0) return status;
    if (ended.value().pid == pid) status = ended.value().status;
  }
}

}  // namespace

std::optional<oci::ConsoleSize> own_terminal_size() {
  winsize size{};
  if (!sys::ioctl(STDIN_FILENO, TIOCGWINSZ, &size, "TIOCGWINSZ").has_value()) return std::nullopt;
  return oci::ConsoleSize{.height = size.ws_row, .width = size.ws_col};
}

Result<Foreground> Foreground::create(bool subreaper) {
  if (subreaper) TRY(sys::set_child_subreaper(true));
  std::vector<int> numbers;
  for (int signal = 1; signal < NSIG; ++signal)
    if (is_forwarded(signal) && (signal < 32 || signal > 33)) numbers.push_back(signal);  // 32, 33: glibc's own
  (void)::signal(SIGPIPE, SIG_IGN);
  return Foreground{TRY(sys::signalfd(numbers))};
}

Result<int> Foreground::wait(pid_t pid, const UniqueFd& pidfd, UniqueFd terminal, const NotifyProxy* notify) {
  Carrier carrier{std::move(terminal)};
  // It ended, and a tracer in the container has not let go of it: SIGCHLD comes when it does. Source: man 2 ptrace,
  // "Death under ptrace".
  bool is_held = false;
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = signals_.get(), .events = POLLIN},
                                        {.fd = is_held ? -1 : pidfd.get(), .events = POLLIN}};
    entries.push_back(carrier.terminal_entry());
    entries.push_back(carrier.input_entry());
    entries.push_back({.fd = notify != nullptr ? notify->fd() : -1, .events = POLLIN});
    TRY(sys::poll(entries, -1));
    if (carrier.is_open()) {
      if ((entries[3].revents & (POLLIN | POLLHUP)) != 0) carrier.take_input();
      if ((entries[2].revents & POLLOUT) != 0) carrier.give_input();
      if ((entries[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        (void)carrier.show_output();
        carrier.give_end();
      }
    }
    if (entries[4].revents != 0) pass_on(*notify);
    if (entries[0].revents != 0) forward(signals_, pidfd, carrier);
    if (entries[0].revents == 0 && entries[1].revents == 0) continue;
    const auto status = reap(pid);
    is_held = is_held || entries[1].revents != 0;
    if (!status.has_value()) continue;
    while (carrier.is_open() && carrier.show_output()) {
    }
    if (notify != nullptr) pass_on_rest(*notify);
    return *status;
  }
}

}  // namespace husk::runtime
