// Carries one output stream of an exec from its pipe to the descriptor that huskd gave, at most
// `limit` bytes; the rest is read and dropped, so that the process never blocks on it.
// Source: CVE-2022-1708, CVE-2022-31030 (unbounded ExecSync output exhausted the node's memory).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

class OutputPump {
 public:
  // `changed` is called last in an event, when is_delivered() or is_over() may have become true; it
  // may destroy the pump. `source` must be non-blocking.
  static Result<std::unique_ptr<OutputPump>> create(EventLoop& loop, UniqueFd source, UniqueFd target,
                                                    std::uint64_t limit, std::span<char> scratch,
                                                    std::function<void()> changed);
  OutputPump(const OutputPump&) = delete;
  OutputPump& operator=(const OutputPump&) = delete;
  ~OutputPump();

  // The process has ended: takes what is in the pipe, then closes the target. Output of children that
  // it left behind is dropped from then on.
  void process_ended();
  bool is_delivered() const { return !target_.is_open(); }
  bool is_over() const { return !source_.is_open() && is_delivered(); }

 private:
  OutputPump(EventLoop& loop, std::uint64_t limit, std::span<char> scratch) : loop_{loop}, left_{limit}, scratch_{scratch} {}
  Status watch_source();
  void unwatch(std::optional<EventLoop::Token>& token);
  void on_readable();
  bool read_block();  // false: nothing more now
  void deliver(std::string_view block);
  void on_writable();
  void tell();
  void close_target();

  EventLoop& loop_;
  UniqueFd source_;
  UniqueFd target_;
  std::uint64_t left_;
  std::span<char> scratch_;
  std::function<void()> changed_;
  std::optional<EventLoop::Token> source_watch_;
  std::optional<EventLoop::Token> target_watch_;
  std::string pending_;  // the reader of the target is slow: the source waits
  bool process_ended_ = false;
};

}  // namespace husk::monitor
