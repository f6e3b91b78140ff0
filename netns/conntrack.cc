#include "netns/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>
#include <utility>

#include "base/format.h"

namespace husk::netns {
namespace {

using netlink::Message;

// Which fields of the tuple a filter compares. The kernel has the numbers in net/netfilter/nf_internals.h
// only, yet they are part of what user space sends (libnetfilter_conntrack sends the same).
constexpr std::uint32_t kFilterProtocol = 1U << 3U;
constexpr std::uint32_t kFilterDestinationPort = 1U << 5U;

constexpr std::size_t kDeletesAtOnce = 64;  // the answers must fit in the socket's receive buffer

Message request(int type, int flags, std::uint8_t family, std::string call) {
  Message message{static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type), static_cast<std::uint16_t>(flags),
                  std::move(call)};
  message.append(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0});
  return message;
}

Message list_request(std::uint8_t family, std::uint16_t port) {
  auto message = request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, format_text("list flows to udp port {}", port));
  message.nest(CTA_TUPLE_ORIG, [&](Message& tuple) {
    tuple.nest(CTA_TUPLE_PROTO, [&](Message& protocol) {
      protocol.attr(CTA_PROTO_NUM, std::uint8_t{IPPROTO_UDP}).attr(CTA_PROTO_DST_PORT, htons(port));
    });
  });
  message.nest(CTA_FILTER, [](Message& filter) {
    filter.attr(CTA_FILTER_ORIG_FLAGS, kFilterProtocol | kFilterDestinationPort);
    filter.attr(CTA_FILTER_REPLY_FLAGS, std::uint32_t{0});
  });
  return message;
}

Status delete_flows(netlink::Socket& netfilter, std::vector<Message> requests) {
  auto done = netfilter.apply(std::move(requests));
  if (!done.has_value() && done.error().os_errno() == ENOENT) return ok();  // one ended by itself meanwhile
  return done;
}

}  // namespace

Status forget_udp_flows(netlink::Socket& netfilter, std::uint8_t address_family, std::uint16_t host_port) {
  const auto flows = TRY(netfilter.dump(list_request(address_family, host_port)));
  std::vector<Message> requests;
  for (const auto& flow : flows) {
    const auto attributes = flow.attributes<nfgenmsg>();
    const auto tuple = netlink::find_attribute(attributes, CTA_TUPLE_ORIG);
    if (!tuple.has_value()) continue;
    auto message = request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, address_family,
                           format_text("delete flow to udp port {}", host_port));
    message.bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple->payload);
    if (const auto zone = netlink::find_attribute(attributes, CTA_ZONE)) message.bytes(CTA_ZONE, zone->payload);
    requests.push_back(std::move(message));
    if (requests.size() == kDeletesAtOnce) TRY(delete_flows(netfilter, std::exchange(requests, {})));
  }
  return delete_flows(netfilter, std::move(requests));
}

}  // namespace husk::netns
