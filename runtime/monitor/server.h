// The monitor's socket: packets of several clients in, packets out, never blocking on one of them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

class Server {
 public:
  using ClientId = std::uint64_t;
  struct Packet {
    ClientId client = 0;
    std::string text;
    std::vector<UniqueFd> fds;
    bool truncated = false;
  };
  using Handler = std::function<void(Packet)>;

  static Result<std::unique_ptr<Server>> create(EventLoop& loop, const std::string& path, Handler handler);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // A client that left is no error. One that does not read its packets is dropped.
  void send(ClientId client, const std::string& packet);
  void subscribe(ClientId client);
  void send_to_subscribers(const std::string& packet);

 private:
  struct Client {
    UniqueFd fd;
    EventLoop::Token watch = 0;
    std::deque<std::string> queue;
    bool subscribed = false;
  };
  Server(EventLoop& loop, std::string path, Handler handler)
      : loop_{loop}, path_{std::move(path)}, handler_{std::move(handler)} {}
  void accept_one();
  void on_event(ClientId id, std::uint32_t events);
  void read_packet(ClientId id);
  void flush(ClientId id);
  void drop(ClientId id);

  EventLoop& loop_;
  std::string path_;
  Handler handler_;
  UniqueFd listener_;
  std::optional<EventLoop::Token> listen_watch_;
  std::map<ClientId, Client> clients_;
  ClientId next_ = 1;
};

}  // namespace husk::monitor
