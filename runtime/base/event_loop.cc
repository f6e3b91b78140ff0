#include "base/event_loop.h"

#include <sys/epoll.h>

#include <array>

#include "base/sys.h"

namespace husk {

Result<EventLoop> EventLoop::create() { return EventLoop{TRY(sys::epoll_create())}; }

Result<EventLoop::Token> EventLoop::register_watch(int fd, std::uint32_t events, std::shared_ptr<Watch> watch) {
  const Token token = next_++;
  TRY(sys::epoll_control(epoll_.get(), EPOLL_CTL_ADD, fd, events, token));
  watches_.emplace(token, std::move(watch));
  return token;
}

Result<EventLoop::Token> EventLoop::add(int fd, std::uint32_t events, Handler handler) {
  auto watch = std::make_shared<Watch>();
  watch->fd = fd;
  watch->handler = std::move(handler);
  return register_watch(fd, events, std::move(watch));
}

Status EventLoop::change(Token token, std::uint32_t events) {
  const auto found = watches_.find(token);
  require(found != watches_.end(), "EventLoop::change: no such watch");
  return sys::epoll_control(epoll_.get(), EPOLL_CTL_MOD, found->second->fd, events, token);
}

void EventLoop::remove(Token token) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  // Fails only when the descriptor was closed before, and then it is gone from epoll already.
  (void)sys::epoll_control(epoll_.get(), EPOLL_CTL_DEL, found->second->fd, 0, 0);
  watches_.erase(found);
}

Result<EventLoop::Token> EventLoop::add_timer(std::int64_t after_ns, std::function<void()> handler) {
  auto watch = std::make_shared<Watch>();
  watch->timer = TRY(sys::timerfd());
  watch->fd = watch->timer.get();
  TRY(sys::timerfd_arm(watch->fd, after_ns > 0 ? after_ns : 1));
  const Token token = next_;
  watch->handler = [this, token, handler = std::move(handler)](std::uint32_t) {
    remove(token);
    handler();
  };
  return register_watch(watch->fd, EPOLLIN, watch);
}

Status EventLoop::run_once(int timeout_ms) {
  const auto events = TRY(sys::epoll_wait(epoll_.get(), timeout_ms));
  for (const auto& event : events) {
    const auto found = watches_.find(event.data);
    if (found == watches_.end()) continue;  // removed by an earlier callback of this round
    const auto watch = found->second;       // keeps the handler alive while it removes itself
    watch->handler(event.events);
  }
  return ok();
}

Status EventLoop::run() {
  while (!stopping_) TRY(run_once(-1));
  return ok();
}

}  // namespace husk
