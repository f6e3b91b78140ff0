#include "monitor/server.h"

#include <sys/epoll.h>

#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "monitor/peer.h"
#include "monitor/protocol.h"

namespace husk::monitor {
namespace {

constexpr std::size_t kMaxClients = 32;
constexpr std::size_t kMaxQueue = 256;  // packets that a client did not read
constexpr std::size_t kMaxFds = 8;

}  // namespace

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, const std::string& path, Handler handler) {
  std::unique_ptr<Server> server{new Server{loop, path, std::move(handler)}};
  server->listener_ = TRY(listen_private(path));
  server->listen_watch_ = TRY(loop.add(server->listener_.get(), EPOLLIN, [raw = server.get()](auto) { raw->accept_one(); }));
  return server;
}

Server::~Server() {
  if (listen_watch_.has_value()) {
    loop_.remove(*listen_watch_);
    (void)sys::unlinkat(AT_FDCWD, path_);  // the directory may be gone
  }
  for (const auto& [id, client] : clients_) loop_.remove(client.watch);
}

void Server::accept_one() {
  auto fd = accept_trusted(listener_.get());
  if (!fd.has_value()) {
    if (fd.error().kind() != Kind::busy) log::warning(fd.error().to_string());
    return;
  }
  if (clients_.size() >= kMaxClients) {
    log::warning(format_text("connection refused: {} clients are connected", clients_.size()));
    return;
  }
  const ClientId id = next_++;
  const auto watch = loop_.add(fd.value().get(), EPOLLIN, [this, id](std::uint32_t events) { on_event(id, events); });
  if (!watch.has_value()) return log::warning(watch.error().to_string());
  auto& client = clients_[id];
  client.fd = std::move(fd).value();
  client.watch = watch.value();
}

void Server::on_event(ClientId id, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush(id);
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 && clients_.contains(id)) read_packet(id);
}

void Server::read_packet(ClientId id) {
  auto got = sys::receive_message(clients_.at(id).fd.get(), kMaxMessage, kMaxFds);
  if (!got.has_value() && got.error().kind() == Kind::busy) return;
  if (!got.has_value() || got.value().end_of_file) return drop(id);
  auto& message = got.value();
  handler_({.client = id, .text = std::move(message.data), .fds = std::move(message.fds), .truncated = message.truncated});
}

void Server::send(ClientId id, const std::string& packet) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  auto& client = found->second;
  if (client.queue.size() >= kMaxQueue) {
    log::warning(format_text("client {} dropped: it left {} packets unread", id, client.queue.size()));
    return drop(id);
  }
  if (client.queue.empty()) {
    const auto sent = sys::send_message(client.fd.get(), packet);
    if (sent.has_value()) return;
    if (sent.error().kind() != Kind::busy) return drop(id);
    const auto changed = loop_.change(client.watch, EPOLLIN | EPOLLOUT);
    if (!changed.has_value()) return drop(id);
  }
  client.queue.push_back(packet);
}

void Server::flush(ClientId id) {
  auto& client = clients_.at(id);
  while (!client.queue.empty()) {
    const auto sent = sys::send_message(client.fd.get(), client.queue.front());
    if (!sent.has_value() && sent.error().kind() == Kind::busy) return;
    if (!sent.has_value()) return drop(id);
    client.queue.pop_front();
  }
  if (!loop_.change(client.watch, EPOLLIN).has_value()) drop(id);
}

void Server::subscribe(ClientId id) {
  const auto found = clients_.find(id);
  if (found != clients_.end()) found->second.subscribed = true;
}

void Server::send_to_subscribers(const std::string& packet) {
  std::vector<ClientId> ids;
  for (const auto& [id, client] : clients_)
    if (client.subscribed) ids.push_back(id);
  for (const ClientId id : ids) send(id, packet);
}

void Server::drop(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  loop_.remove(found->second.watch);
  clients_.erase(found);
}

}  // namespace husk::monitor
