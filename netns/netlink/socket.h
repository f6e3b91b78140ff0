// Socket: one netlink conversation with the kernel. It belongs to the network namespace of the thread that
// opened it, for ever, whichever thread uses it later. Read `exchange` first.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "netns/netlink/message.h"

struct mnl_socket;

namespace husk::netns::netlink {

class Socket {
 public:
  static Result<Socket> open(int protocol);  // NETLINK_ROUTE, NETLINK_NETFILTER

  // Sends all messages as one datagram and collects what the kernel answers. The error is that of the first
  // message that failed, with the kernel's own words (extended ACK). rtnetlink goes on after a failed
  // message; nf_tables undoes the whole batch.
  Result<std::vector<Reply>> exchange(std::vector<Message> messages);
  Status apply(std::vector<Message> messages);
  Status apply(Message message);
  Result<std::vector<Reply>> dump(const Message& message);  // repeated when a change interrupted it

 private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  struct Exchange;
  explicit Socket(mnl_socket* socket) : socket_{socket} {}
  Status send(std::vector<Message>& messages);
  Status receive(Exchange& exchange);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::uint32_t sequence_ = 1;
};

}  // namespace husk::netns::netlink
