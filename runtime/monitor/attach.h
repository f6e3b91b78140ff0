// The attach socket of one container: any number of attachers (up to 16) see the output from now on
// and may write to stdin and resize the terminal. Protocol: end of protocol.h.
// An attacher that is slow holds the container's output back for at most ten seconds without
// progress; then it is dropped. So nothing is lost for one that keeps reading, and no reader can
// stop a container for ever.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

class AttachServer {
 public:
  struct Handlers {
    std::function<void(std::string_view)> input;
    std::function<void()> input_end;  // an attacher said so, or left
    std::function<void(std::uint16_t columns, std::uint16_t rows)> resize;
    std::function<void()> unblocked;  // is_blocked() became false
  };
  static Result<std::unique_ptr<AttachServer>> create(EventLoop& loop, const std::string& path, Handlers handlers);
  AttachServer(const AttachServer&) = delete;
  AttachServer& operator=(const AttachServer&) = delete;
  ~AttachServer();

  // `packet`: stream byte and data. Never blocks; what does not fit is kept and is_blocked() is true.
  void send(std::string_view packet);
  bool is_blocked() const;
  // While stdin is full, attachers are not read.
  void pause_input(bool paused);
  // Nobody may join any more; each attacher gets kExit as its last packet.
  void finish(std::int32_t exit_code);

 private:
  using Id = std::uint64_t;
  struct Attacher {
    UniqueFd fd;
    std::optional<EventLoop::Token> watch;
    std::optional<EventLoop::Token> timer;
    std::deque<std::string> queue;
    bool gone = false;  // it hung up; what it sent before is still read
  };
  AttachServer(EventLoop& loop, std::string path, Handlers handlers)
      : loop_{loop}, path_{std::move(path)}, handlers_{std::move(handlers)} {}
  void accept_one();
  void on_event(Id id, std::uint32_t events);
  void read_packet(Id id);
  bool take_packet(std::string_view packet);
  Status send_now(Attacher& attacher, std::string_view packet);
  void enqueue(Id id, std::string_view packet);
  void hang_up(Id id);
  void flush(Id id);
  void update_watch(Id id);
  void restart_timer(Id id);
  void say_goodbye(Attacher& attacher);
  void drop(Id id);
  void stop_listening();

  EventLoop& loop_;
  std::string path_;
  Handlers handlers_;
  UniqueFd listener_;
  std::optional<EventLoop::Token> listen_watch_;
  std::map<Id, Attacher> attachers_;
  Id next_ = 1;
  bool input_paused_ = false;
  bool finishing_ = false;
};

}  // namespace husk::monitor
