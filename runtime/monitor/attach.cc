#include "monitor/attach.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "base/log.h"
#include "base/sys.h"
#include "monitor/peer.h"
#include "monitor/protocol.h"

namespace husk::monitor {
namespace {

constexpr std::size_t kMaxAttachers = 16;
constexpr std::size_t kMaxPacket = (64U << 10U) + 1;
constexpr std::int64_t kPatience_ns = 10'000'000'000;

}  // namespace

Result<std::unique_ptr<AttachServer>> AttachServer::create(EventLoop& loop, const std::string& path,
                                                           Handlers handlers) {
  std::unique_ptr<AttachServer> server{new AttachServer{loop, path, std::move(handlers)}};
  server->listener_ = TRY(listen_private(path).during("attach socket"));
  server->listen_watch_ = TRY(loop.add(server->listener_.get(), EPOLLIN, [raw = server.get()](auto) { raw->accept_one(); }));
  return server;
}

AttachServer::~AttachServer() {
  stop_listening();
  for (auto& [id, attacher] : attachers_) {
    if (attacher.watch.has_value()) loop_.remove(*attacher.watch);
    if (attacher.timer.has_value()) loop_.remove(*attacher.timer);
  }
}

void AttachServer::stop_listening() {
  if (!listen_watch_.has_value()) return;
  loop_.remove(*listen_watch_);
  listen_watch_.reset();
  listener_.reset();
  (void)sys::unlinkat(AT_FDCWD, path_);  // the directory may be gone already
}

void AttachServer::accept_one() {
  auto fd = accept_trusted(listener_.get());
  if (!fd.has_value()) {
    if (fd.error().kind() != Kind::busy) log::warning(fd.error().to_string());
    return;
  }
  if (attachers_.size() >= kMaxAttachers) return;  // closing tells it
  const Id id = next_++;
  attachers_[id].fd = std::move(fd).value();
  update_watch(id);
}

// Registers exactly what is wanted now. A socket that hung up reports EPOLLHUP for ever, whatever
// the mask: it must leave epoll while we do not read it.
void AttachServer::update_watch(Id id) {
  auto& attacher = attachers_.at(id);
  std::uint32_t wanted = input_paused_ || finishing_ ? 0U : static_cast<std::uint32_t>(EPOLLIN);
  if (!attacher.queue.empty() && !attacher.gone) wanted |= EPOLLOUT;
  if (attacher.watch.has_value()) {
    loop_.remove(*attacher.watch);
    attacher.watch.reset();
  }
  if (wanted == 0) return;
  auto token = loop_.add(attacher.fd.get(), wanted, [this, id](std::uint32_t events) { on_event(id, events); });
  if (token.has_value()) attacher.watch = token.value();
  if (!token.has_value()) log::warning(token.error().to_string());
}

void AttachServer::on_event(Id id, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush(id);
  const auto found = attachers_.find(id);
  if (found == attachers_.end() || (events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
  if (!input_paused_ && !finishing_) return read_packet(id);
  if ((events & (EPOLLHUP | EPOLLERR)) == 0) return;
  if (finishing_) return drop(id);
  hang_up(id);
  if (!is_blocked()) handlers_.unblocked();
}

void AttachServer::read_packet(Id id) {
  auto got = sys::receive_message(attachers_.at(id).fd.get(), kMaxPacket, 0);
  if (!got.has_value() && got.error().kind() == Kind::busy) return;
  if (!got.has_value() || got.value().end_of_file || got.value().truncated || !take_packet(got.value().data)) {
    drop(id);
    handlers_.input_end();
  }
}

bool AttachServer::take_packet(std::string_view packet) {
  const auto body = packet.substr(1);
  if (packet.front() == kStdin) {
    body.empty() ? handlers_.input_end() : handlers_.input(body);
    return true;
  }
  if (packet.front() != kResize || body.size() != 4) return false;
  const auto number = [&](std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(body[at]) |
                                      static_cast<unsigned>(static_cast<unsigned char>(body[at + 1])) << 8U);
  };
  handlers_.resize(number(0), number(2));
  return true;
}

void AttachServer::send(std::string_view packet) {
  std::vector<Id> ids;
  for (const auto& [id, attacher] : attachers_)
    if (!attacher.gone) ids.push_back(id);
  for (const Id id : ids) enqueue(id, packet);
}

void AttachServer::enqueue(Id id, std::string_view packet) {
  auto& attacher = attachers_.at(id);
  if (attacher.queue.empty()) {
    const auto sent = sys::send_message(attacher.fd.get(), packet);
    if (sent.has_value()) return;
    if (sent.error().kind() != Kind::busy) return hang_up(id);
    attacher.queue.emplace_back(packet);
    restart_timer(id);
    return update_watch(id);
  }
  attacher.queue.emplace_back(packet);
}

// No output reaches it any more, but what it wrote before is still input for the container.
void AttachServer::hang_up(Id id) {
  auto& attacher = attachers_.at(id);
  attacher.gone = true;
  attacher.queue.clear();
  restart_timer(id);
  update_watch(id);
}

void AttachServer::flush(Id id) {
  auto& attacher = attachers_.at(id);
  bool progress = false;
  while (!attacher.queue.empty()) {
    const auto sent = sys::send_message(attacher.fd.get(), attacher.queue.front());
    if (!sent.has_value() && sent.error().kind() == Kind::busy) break;
    if (!sent.has_value()) {
      hang_up(id);
      break;
    }
    attacher.queue.pop_front();
    progress = true;
  }
  if (!attacher.queue.empty()) return progress ? restart_timer(id) : void();
  restart_timer(id);
  if (finishing_) {
    say_goodbye(attacher);
    return drop(id);
  }
  update_watch(id);
  if (!is_blocked()) handlers_.unblocked();
}

void AttachServer::restart_timer(Id id) {
  auto& attacher = attachers_.at(id);
  if (attacher.timer.has_value()) loop_.remove(*attacher.timer);
  attacher.timer.reset();
  if (attacher.queue.empty()) return;
  auto timer = loop_.add_timer(kPatience_ns, [this, id] {
    attachers_.at(id).timer.reset();
    drop(id);
    handlers_.input_end();
    if (!is_blocked()) handlers_.unblocked();
  });
  if (timer.has_value()) {
    attacher.timer = timer.value();
  } else {
    attacher.queue.clear();  // without a timer it could hold the container for ever
    attacher.gone = true;
  }
}

bool AttachServer::is_blocked() const {
  if (finishing_) return false;
  for (const auto& [id, attacher] : attachers_)
    if (!attacher.queue.empty()) return true;
  return false;
}

void AttachServer::pause_input(bool paused) {
  if (std::exchange(input_paused_, paused) == paused) return;
  std::vector<Id> ids;
  for (const auto& [id, attacher] : attachers_) ids.push_back(id);
  for (const Id id : ids) update_watch(id);
}

void AttachServer::finish(std::int32_t exit_code) {
  stop_listening();
  finishing_ = true;
  const auto code = static_cast<std::uint32_t>(exit_code);
  std::string packet{kExit};
  for (unsigned shift = 0; shift < 32; shift += 8) packet += static_cast<char>((code >> shift) & 0xffU);
  send(packet);
  std::vector<Id> done;
  for (auto& [id, attacher] : attachers_) {
    if (!attacher.queue.empty() && !attacher.gone) continue;
    say_goodbye(attacher);
    done.push_back(id);
  }
  for (const Id id : done) drop(id);
  for (const auto& [id, attacher] : attachers_) update_watch(id);
}

// Closing a socket with unread packets makes the peer's next read fail with ECONNRESET instead of
// giving it kExit: first forbid more, then empty the queue. Source: Linux net/unix/af_unix.c.
void AttachServer::say_goodbye(Attacher& attacher) {
  (void)sys::shutdown(attacher.fd.get(), SHUT_RDWR);  // it may have left already
  for (;;) {
    const auto got = sys::receive_message(attacher.fd.get(), kMaxPacket, 0);
    if (!got.has_value() || got.value().end_of_file) return;
  }
}

void AttachServer::drop(Id id) {
  const auto found = attachers_.find(id);
  if (found == attachers_.end()) return;
  if (found->second.watch.has_value()) loop_.remove(*found->second.watch);
  if (found->second.timer.has_value()) loop_.remove(*found->second.timer);
  attachers_.erase(found);
}

}  // namespace husk::monitor
