#include "monitor/container_io.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "monitor/protocol.h"

namespace husk::monitor {
namespace {

// What is read after the end of the first process before its exit is told. A pipe holds 64 KiB; more
// comes only from children that go on writing, and they cannot hold the exit back.
constexpr std::size_t kDrainBytes = 1U << 20U;
constexpr std::size_t kErrorTextBytes = 4096;

}  // namespace

Result<std::unique_ptr<ContainerIo>> ContainerIo::create(EventLoop& loop, const IoOptions& options) {
  auto log = TRY(LogFile::open(options.log_path));
  std::unique_ptr<ContainerIo> io{new ContainerIo{loop, options, std::move(log)}};
  io->sources_[0].packet_type = kStdout;
  io->sources_[1].packet_type = kStderr;
  io->sources_[1].stream = CriLog::Stream::err;
  if (options.terminal) {
    TRY(io->make_console());
  } else {
    TRY(io->make_pipes());
  }
  if (!options.attach_socket.empty()) TRY(io->listen_for_attach());
  return io;
}

ContainerIo::~ContainerIo() {
  for (auto& source : sources_) unwatch(source);
  if (stdin_watch_.has_value()) loop_.remove(*stdin_watch_);
  if (console_listener_.is_open()) (void)sys::unlinkat(AT_FDCWD, console_path_);
}

Status ContainerIo::make_pipes() {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    auto pipe = TRY(sys::pipe2());
    // A process that is not root opens /dev/stdout by its path: the pipe's own mode counts then.
    TRY(sys::fchmod(pipe.write_end.get(), 0666));
    TRY(sys::set_nonblocking(pipe.read_end.get(), true));
    sources_.at(i).fd = std::move(pipe.read_end);
    child_ends_.at(i + 1) = std::move(pipe.write_end);
  }
  if (!options_.stdin_open) return ok();
  auto pipe = TRY(sys::pipe2());
  TRY(sys::fchmod(pipe.read_end.get(), 0666));
  TRY(sys::set_nonblocking(pipe.write_end.get(), true));
  child_ends_[0] = std::move(pipe.read_end);
  stdin_ = std::move(pipe.write_end);
  return ok();
}

Status ContainerIo::make_console() {
  const auto path = options_.directory + "/console.sock";
  const auto removed = sys::unlinkat(AT_FDCWD, path);
  if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed.error();
  console_listener_ = TRY(sys::listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK, 1, 0600));
  console_path_ = path;
  return ok();
}

Status ContainerIo::listen_for_attach() {
  attach_ = TRY(AttachServer::create(loop_, options_.attach_socket,
                                     {.input = [this](std::string_view data) { write_stdin(data); },
                                      .input_end = [this] { end_of_input(); },
                                      .resize = [this](auto columns, auto rows) { set_window(columns, rows); },
                                      .unblocked = [this] { resume(); }}));
  return ok();
}

std::vector<SpawnOptions::Inherit> ContainerIo::child_descriptors() const {
  std::vector<SpawnOptions::Inherit> list;
  for (int target = 0; target < 3; ++target) {
    const auto& end = child_ends_.at(static_cast<std::size_t>(target));
    if (end.is_open()) list.push_back({.from = end.get(), .target = target});
  }
  return list;
}

std::string ContainerIo::take_error_text() {
  std::string text;
  auto& source = sources_[1];
  if (!source.fd.is_open()) return text;
  const auto got = sys::read_some(source.fd.get(), options_.scratch.first(std::min(options_.scratch.size(), kErrorTextBytes)));
  if (got.has_value()) text.assign(options_.scratch.data(), got.value());
  return std::string{trim(text)};
}

// Between `husk create` and `husk start` nothing of the container runs: what is in the pipes are
// warnings of the runtime, which stand in its log as well.
void ContainerIo::discard_runtime_output() {
  for (auto& source : sources_) {
    if (!source.fd.is_open()) continue;
    const auto got = sys::read_some(source.fd.get(), options_.scratch);
    if (!got.has_value()) continue;  // EAGAIN: nothing there
  }
}

Status ContainerIo::created() {
  for (auto& end : child_ends_) end.reset();
  if (options_.terminal) {
    TRY(take_terminal());
  } else {
    discard_runtime_output();
  }
  for (auto& source : sources_)
    if (source.fd.is_open()) TRY(watch_source(source));
  created_ = true;
  return ok();
}

Status ContainerIo::take_terminal() {
  auto connection = sys::accept(console_listener_.get());
  if (!connection.has_value())
    return Error{Kind::internal, "runtime did not set up terminal: nothing was sent to the console socket"};
  auto got = TRY(sys::receive_message(connection.value().get(), 4096, 1));
  if (got.fds.size() != 1) return Error{Kind::internal, "runtime did not set up terminal: no descriptor was sent"};
  console_listener_.reset();
  (void)sys::unlinkat(AT_FDCWD, console_path_);
  auto master = std::move(got.fds.front());
  TRY(sys::set_nonblocking(master.get(), true));
  // Source: man 2 ioctl_tty, TIOCGPTPEER: opens the other end without a path, in any mount namespace.
  const auto flags = static_cast<unsigned long>(O_RDWR | O_NOCTTY | O_CLOEXEC);
  const int peer = TRY(sys::ioctl(master.get(), TIOCGPTPEER, reinterpret_cast<void*>(flags), "TIOCGPTPEER"));  // NOLINT
  terminal_peer_.reset(peer);
  if (options_.stdin_open) stdin_ = TRY(sys::dup_cloexec(master.get()));
  sources_[0].fd = std::move(master);
  return ok();
}

Status ContainerIo::watch_source(Source& source) {
  source.watch = TRY(loop_.add(source.fd.get(), EPOLLIN, [this, &source](auto) { (void)pump(source); }));
  return ok();
}

void ContainerIo::unwatch(Source& source) {
  if (source.watch.has_value()) loop_.remove(*source.watch);
  source.watch.reset();
}

std::size_t ContainerIo::pump(Source& source) {
  if (!source.fd.is_open()) return 0;
  auto& buffer = options_.scratch;
  const auto got = sys::read_some(source.fd.get(), buffer.subspan(1));
  if (!got.has_value() && got.error().kind() == Kind::busy) return 0;
  // EIO is how a terminal says that its other end is closed (man 4 pts).
  if (!got.has_value() || got.value() == 0) {
    close_source(source);
    return 0;
  }
  report(log_.write(source.stream, {buffer.data() + 1, got.value()}));
  if (attach_ == nullptr || ended_) return got.value();
  buffer[0] = source.packet_type;
  attach_->send({buffer.data(), got.value() + 1});
  // Level-triggered epoll would report the pipe again and again: it leaves the loop until resume().
  if (attach_->is_blocked())
    for (auto& each : sources_) unwatch(each);
  return got.value();
}

void ContainerIo::resume() {
  for (auto& source : sources_)
    if (source.fd.is_open() && !source.watch.has_value()) report(watch_source(source));
}

void ContainerIo::close_source(Source& source) {
  unwatch(source);
  source.fd.reset();
  report(log_.finish(source.stream));
  close_finished_log();
}

// Both streams are over: closing tells those who follow the file, and saves a descriptor.
void ContainerIo::close_finished_log() {
  if (created_ && !sources_[0].fd.is_open() && !sources_[1].fd.is_open()) log_.file().close();
}

// A rotated file must exist again even when the container will write no more.
Status ContainerIo::reopen_log() {
  TRY(log_.file().reopen());
  close_finished_log();
  return ok();
}

void ContainerIo::ended(std::int32_t exit_code) {
  close_stdin();
  terminal_peer_.reset();
  for (auto& source : sources_)
    for (std::size_t total = 0; total < kDrainBytes;) {
      const auto got = pump(source);
      if (got == 0) break;
      total += got;
    }
  ended_ = true;
  if (attach_ != nullptr) attach_->finish(exit_code);
  resume();
}

void ContainerIo::write_stdin(std::string_view data) {
  if (!stdin_.is_open() || stdin_closing_) return;
  stdin_pending_ += data;
  flush_stdin();
}

void ContainerIo::flush_stdin() {
  while (!stdin_pending_.empty()) {
    const auto done = sys::write_some(stdin_.get(), stdin_pending_);
    if (!done.has_value() && done.error().kind() == Kind::busy) break;
    if (!done.has_value()) return close_stdin();  // the container closed its end
    stdin_pending_.erase(0, done.value());
  }
  attach_->pause_input(!stdin_pending_.empty());
  if (stdin_pending_.empty()) {
    stdin_pending_ = std::string{};
    if (stdin_watch_.has_value()) loop_.remove(*stdin_watch_);
    stdin_watch_.reset();
    if (stdin_closing_) close_stdin();
  } else if (!stdin_watch_.has_value()) {
    const auto watch = loop_.add(stdin_.get(), EPOLLOUT, [this](auto) { flush_stdin(); });
    if (!watch.has_value()) return close_stdin();
    stdin_watch_ = watch.value();
  }
}

// A terminal has no end of input of its own: the one that attaches sends its end-of-file character.
void ContainerIo::end_of_input() {
  if (!options_.stdin_once || options_.terminal || !stdin_.is_open()) return;
  stdin_closing_ = true;
  if (stdin_pending_.empty()) close_stdin();
}

void ContainerIo::close_stdin() {
  if (stdin_watch_.has_value()) loop_.remove(*stdin_watch_);
  stdin_watch_.reset();
  stdin_.reset();
  stdin_pending_ = std::string{};
  if (attach_ != nullptr) attach_->pause_input(false);
}

void ContainerIo::set_window(std::uint16_t columns, std::uint16_t rows) {
  if (!options_.terminal || !sources_[0].fd.is_open()) return;
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  const auto done = sys::ioctl(sources_[0].fd.get(), TIOCSWINSZ, &size, "TIOCSWINSZ");
  if (!done.has_value()) log::warning(done.error().to_string());
}

void ContainerIo::report(const Status& status) {
  if (status.has_value()) return;
  log::warning(format_text("output of the container is lost until this is better: {}", status.error().to_string()));
}

}  // namespace husk::monitor
