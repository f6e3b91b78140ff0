#include "monitor/output_pump.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/sys.h"

namespace husk::monitor {
namespace {

constexpr std::size_t kDrainBytes = 1U << 20U;  // see container_io.cc

}  // namespace

Result<std::unique_ptr<OutputPump>> OutputPump::create(EventLoop& loop, UniqueFd source, UniqueFd target,
                                                       std::uint64_t limit, std::span<char> scratch,
                                                       std::function<void()> changed) {
  const auto status = TRY(sys::fstat(target.get()));
  if (!S_ISREG(status.st_mode)) TRY(sys::set_nonblocking(target.get(), true));
  std::unique_ptr<OutputPump> pump{new OutputPump{loop, limit, scratch}};
  pump->source_ = std::move(source);
  pump->target_ = std::move(target);
  pump->changed_ = std::move(changed);
  TRY(pump->watch_source());
  return pump;
}

OutputPump::~OutputPump() {
  unwatch(source_watch_);
  unwatch(target_watch_);
}

Status OutputPump::watch_source() {
  source_watch_ = TRY(loop_.add(source_.get(), EPOLLIN, [this](auto) { on_readable(); }));
  return ok();
}

void OutputPump::unwatch(std::optional<EventLoop::Token>& token) {
  if (token.has_value()) loop_.remove(*token);
  token.reset();
}

void OutputPump::on_readable() {
  (void)read_block();
  if (!source_.is_open()) {
    if (pending_.empty()) close_target();
    tell();
  }
}

bool OutputPump::read_block() {
  const auto got = sys::read_some(source_.get(), scratch_);
  if (!got.has_value() && got.error().kind() == Kind::busy) return false;
  if (!got.has_value() || got.value() == 0) {
    unwatch(source_watch_);
    source_.reset();
    return false;
  }
  deliver({scratch_.data(), got.value()});
  return pending_.empty();
}

void OutputPump::deliver(std::string_view block) {
  if (!target_.is_open()) return;
  block = block.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), left_)));
  left_ -= block.size();
  while (!block.empty()) {
    const auto done = sys::write_some(target_.get(), block);
    if (!done.has_value() && done.error().kind() != Kind::busy) return close_target();  // nobody reads it
    if (!done.has_value()) break;
    block.remove_prefix(done.value());
  }
  if (block.empty()) return;
  auto watch = loop_.add(target_.get(), EPOLLOUT, [this](auto) { on_writable(); });
  if (!watch.has_value()) return close_target();
  target_watch_ = watch.value();
  pending_ = block;
  unwatch(source_watch_);
}

void OutputPump::on_writable() {
  const auto block = std::exchange(pending_, std::string{});
  unwatch(target_watch_);
  left_ += block.size();
  deliver(block);
  if (!pending_.empty()) return;
  if (process_ended_) return process_ended();
  if (source_.is_open()) {
    const auto watched = watch_source();
    if (!watched.has_value()) source_.reset();
  }
  if (!source_.is_open()) {
    close_target();
    tell();
  }
}

void OutputPump::process_ended() {
  process_ended_ = true;
  if (!pending_.empty()) return;
  for (std::size_t rounds = 0; source_.is_open() && rounds < kDrainBytes / scratch_.size() + 1; ++rounds)
    if (!read_block()) break;
  if (!pending_.empty()) return;
  close_target();
  if (source_.is_open() && !source_watch_.has_value() && !watch_source().has_value()) source_.reset();
  tell();
}

// A copy is called, since the callee may destroy this pump and with it the function.
void OutputPump::tell() {
  const auto changed = changed_;
  changed();
}

void OutputPump::close_target() {
  unwatch(target_watch_);
  pending_.clear();
  target_.reset();
}

}  // namespace husk::monitor
