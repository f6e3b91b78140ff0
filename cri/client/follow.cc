#include "cri/client/follow.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/client/text/log_lines.h"

namespace husk::pod {
namespace {

// CRI has no call that waits for an end. The monitor closes the log when the streams are over: then the
// status is asked for, and again after a pause that grows up to this one.
constexpr int kLongestPause_ms = 1000;
constexpr int kShortestPause_ms = 2;

class LogFollower {
 public:
  LogFollower(std::string path, const FollowOptions& options)
      : path_{std::move(path)}, options_{options}, reader_{options.timestamps} {}

  Status open() {
    file_ = TRY(sys::openat(AT_FDCWD, path_, O_RDONLY));
    if (!options_.tail.has_value()) return ok();
    const auto all = TRY(read_all(file_.get(), std::size_t{1} << 32U));
    const auto lines = *std::exchange(options_.tail, std::nullopt);
    return emit(std::string_view{all}.substr(tail_offset(all, lines)));
  }
  Status watch() {
    inotify_ = TRY(sys::inotify_init());
    const auto slash = path_.rfind('/');
    name_ = path_.substr(slash + 1);
    TRY(sys::inotify_add_watch(inotify_.get(), path_.substr(0, slash), IN_CREATE | IN_MOVED_TO));
    TRY(sys::inotify_add_watch(inotify_.get(), path_, IN_MODIFY | IN_CLOSE_WRITE));
    return ok();
  }
  int inotify() const { return inotify_.get(); }

  // Prints what is there. A file that was rotated away is read to its end before the new one.
  Status print_new() {
    for (;;) {
      TRY(read_to_end());
      if (!std::exchange(rotated_, false)) return ok();
      file_ = TRY(sys::openat(AT_FDCWD, path_, O_RDONLY));
      TRY(sys::inotify_add_watch(inotify_.get(), path_, IN_MODIFY | IN_CLOSE_WRITE));
    }
  }
  // Takes the events; true when a writer closed the log.
  Result<bool> take_events() {
    alignas(inotify_event) std::array<char, 4096> buffer{};
    const auto got = sys::read_some(inotify_.get(), buffer);
    if (!got.has_value() && got.error().kind() != Kind::busy) return got.error();
    bool closed = false;
    for (std::size_t at = 0; got.has_value() && at < got.value();) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = event.len > 0 ? buffer.data() + at + sizeof event : "";
      if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0 && name_ == name) rotated_ = true;
      if ((event.mask & IN_CLOSE_WRITE) != 0) closed = true;
      at += sizeof event + event.len;
    }
    return closed;
  }

 private:
  Status read_to_end() {
    std::array<char, 65536> block;  // NOLINT: filled by read
    for (;;) {
      const auto got = TRY(sys::read_some(file_.get(), block));
      if (got == 0) return ok();
      TRY(emit({block.data(), got}));
    }
  }
  Status emit(std::string_view bytes) {
    for (const auto& piece : reader_.feed(bytes))
      TRY(sys::write_all(piece.is_error ? STDERR_FILENO : STDOUT_FILENO, piece.text));
    return ok();
  }

  std::string path_;
  std::string name_;
  FollowOptions options_;
  LogReader reader_;
  UniqueFd file_;
  UniqueFd inotify_;
  bool rotated_ = false;
};

}  // namespace

Result<cri::ContainerStatus> read_status(Daemon& daemon, const std::string& container_id) {
  cri::ContainerStatusRequest request;
  request.set_container_id(container_id);
  auto response = TRY(daemon.call(&cri::RuntimeService::Stub::ContainerStatus, request, "container status"));
  return std::move(*response.mutable_status());
}

Result<cri::ContainerStatus> print_log(Daemon& daemon, const std::string& container_id, const FollowOptions& options) {
  auto status = TRY(read_status(daemon, container_id));
  if (status.log_path().empty())
    return Error{Kind::not_found, format_text("container {} has no log", quote(status.metadata().name()))};
  LogFollower log{status.log_path(), options};
  TRY(log.open());
  if (options.follow) TRY(log.watch());
  TRY(log.print_new());
  // Asked after the first look: what was written before the end is in the file by then.
  for (int pause_ms = kShortestPause_ms; options.follow;) {
    status = TRY(read_status(daemon, container_id));
    if (status.state() == cri::CONTAINER_EXITED || status.state() == cri::CONTAINER_UNKNOWN) break;
    std::vector<sys::PollEntry> entries{{.fd = log.inotify(), .events = POLLIN}};
    if (options.signal_fd >= 0) entries.push_back({.fd = options.signal_fd, .events = POLLIN});
    for (bool ask = false; !ask;) {
      const int ready = TRY(sys::poll(entries, pause_ms));
      if (ready == 0) pause_ms = std::min(pause_ms * 2, kLongestPause_ms);
      if (entries.size() > 1 && entries[1].revents != 0) TRY(options.on_signal());
      const bool closed = TRY(log.take_events());
      if (closed) pause_ms = kShortestPause_ms;
      TRY(log.print_new());
      ask = ready == 0 || closed;
    }
  }
  TRY(log.print_new());
  return status;
}

}  // namespace husk::pod
