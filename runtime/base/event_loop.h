// EventLoop: epoll with one callback per descriptor, timers, and signals. One thread.
// A callback may remove any registration, its own too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk {

class EventLoop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;  // EPOLLIN | EPOLLOUT | EPOLLHUP …
  using Token = std::uint64_t;

  static Result<EventLoop> create();
  EventLoop(EventLoop&&) = default;

  // Watches a borrowed descriptor (level-triggered) until remove(). Source: man 7 epoll.
  Result<Token> add(int fd, std::uint32_t events, Handler handler);
  Status change(Token token, std::uint32_t events);
  void remove(Token token);

  // Calls `handler` once after `after_ns`; cancelled by remove().
  Result<Token> add_timer(std::int64_t after_ns, std::function<void()> handler);

  Status run_once(int timeout_ms);  // dispatches what is ready
  Status run();                     // until stop()
  void stop() { stopping_ = true; }

 private:
  struct Watch {
    int fd = -1;
    UniqueFd timer;
    Handler handler;
  };
  explicit EventLoop(UniqueFd epoll) : epoll_{std::move(epoll)} {}
  Result<Token> register_watch(int fd, std::uint32_t events, std::shared_ptr<Watch> watch);

  UniqueFd epoll_;
  std::map<Token, std::shared_ptr<Watch>> watches_;
  Token next_ = 1;
  bool stopping_ = false;
};

}  // namespace husk
