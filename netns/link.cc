#include "netns/link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/format.h"
#include "base/text.h"

namespace husk::netns {
namespace {

using netlink::Message;

constexpr std::uint16_t kCreate = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
constexpr std::uint32_t kDoomedGroup = 0x6875736b;  // "husk": nobody else's, and empty but for a moment

InterfaceStats parse_stats(const std::string& name, const netlink::Attribute& attribute) {
  // Older kernels send a shorter struct; the first fields are the same.
  rtnl_link_stats64 counters{};
  std::memcpy(&counters, attribute.payload.data(), std::min(sizeof counters, attribute.payload.size()));
  return {.name = name,
          .rx_bytes = counters.rx_bytes,
          .rx_errors = counters.rx_errors,
          .tx_bytes = counters.tx_bytes,
          .tx_errors = counters.tx_errors};
}

Link parse_link(const netlink::Reply& reply) {
  const auto fixed = reply.fixed<ifinfomsg>();
  Link link{.index = fixed.ifi_index, .up = (fixed.ifi_flags & IFF_UP) != 0};
  for (const auto& attribute : netlink::parse_attributes(reply.attributes<ifinfomsg>())) {
    switch (attribute.type) {
      case IFLA_IFNAME: link.name = attribute.text(); break;
      case IFLA_IFALIAS: link.alias = attribute.text(); break;
      case IFLA_MASTER: link.master = attribute.as<int>().value_or(0); break;
      case IFLA_MTU: link.mtu = attribute.as<std::uint32_t>().value_or(0); break;
      case IFLA_LINKINFO:
        if (const auto kind = netlink::find_attribute(attribute.payload, IFLA_INFO_KIND)) link.kind = kind->text();
        break;
      case IFLA_STATS64: link.stats = parse_stats({}, attribute); break;
      default: break;
    }
  }
  link.stats.name = link.name;
  return link;
}

Message link_request(std::uint16_t type, std::uint16_t flags, const std::string& name, std::string_view call) {
  Message message{type, flags, format_text("{} {}", call, quote(name))};
  message.append(ifinfomsg{}).attr(IFLA_IFNAME, name);
  return message;
}

ifinfomsg up_header(int index = 0) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  return header;
}

}  // namespace

Result<std::optional<Link>> find_link(netlink::Socket& socket, const std::string& name) {
  std::vector<Message> request;
  request.push_back(link_request(RTM_GETLINK, NLM_F_ACK, name, "RTM_GETLINK"));
  auto replies = socket.exchange(std::move(request));
  if (!replies.has_value()) {
    if (replies.error().os_errno() == ENODEV) return std::optional<Link>{};
    return std::move(replies).error();
  }
  for (const auto& reply : replies.value())
    if (reply.type == RTM_NEWLINK) return std::optional{parse_link(reply)};
  return std::optional<Link>{};
}

Result<std::vector<Link>> list_links(netlink::Socket& socket) {
  Message message{RTM_GETLINK, NLM_F_DUMP, "RTM_GETLINK of all interfaces"};
  message.append(ifinfomsg{});
  const auto replies = TRY(socket.dump(message));
  std::vector<Link> links;
  for (const auto& reply : replies)
    if (reply.type == RTM_NEWLINK) links.push_back(parse_link(reply));
  return links;
}

Status create_bridge(netlink::Socket& socket, const std::string& name, const MacAddress& mac, std::uint32_t mtu) {
  Message message{RTM_NEWLINK, kCreate, format_text("RTM_NEWLINK {} type bridge", quote(name))};
  message.append(up_header()).attr(IFLA_IFNAME, name).bytes(IFLA_ADDRESS, mac);
  if (mtu != 0) message.attr(IFLA_MTU, mtu);
  message.nest(IFLA_LINKINFO, [](Message& info) {
    info.attr(IFLA_INFO_KIND, "bridge");
    info.nest(IFLA_INFO_DATA, [](Message& data) {
      // Without spanning tree a port forwards at once: nothing has to wait for it.
      data.attr(IFLA_BR_STP_STATE, std::uint32_t{0}).attr(IFLA_BR_FORWARD_DELAY, std::uint32_t{0});
    });
  });
  return socket.apply(std::move(message));
}

std::vector<Message> veth_requests(const VethPlan& plan) {
  Message create{RTM_NEWLINK, kCreate,
                 format_text("RTM_NEWLINK {} type veth peer {}", quote(plan.host_name), quote(plan.peer_name))};
  create.append(ifinfomsg{}).attr(IFLA_IFNAME, plan.host_name).attr(IFLA_MASTER, plan.bridge_index);
  if (plan.mtu != 0) create.attr(IFLA_MTU, plan.mtu);
  create.nest(IFLA_LINKINFO, [&](Message& info) {
    info.attr(IFLA_INFO_KIND, "veth");
    info.nest(IFLA_INFO_DATA, [&](Message& data) {
      data.nest(VETH_INFO_PEER, [&](Message& peer) {
        peer.append(ifinfomsg{}).attr(IFLA_IFNAME, plan.peer_name).bytes(IFLA_ADDRESS, plan.peer_mac);
        peer.attr(IFLA_NET_NS_FD, plan.peer_namespace_fd);
        if (plan.mtu != 0) peer.attr(IFLA_MTU, plan.mtu);
      });
    });
  });

  auto port = link_request(RTM_NEWLINK, NLM_F_ACK, plan.host_name, "RTM_NEWLINK bridge port");
  port.attr(IFLA_IFALIAS, plan.alias);
  if (plan.quiet_ipv6) {
    port.nest(IFLA_AF_SPEC, [](Message& families) {
      families.nest(AF_INET6, [](Message& inet6) {
        inet6.attr(IFLA_INET6_ADDR_GEN_MODE, std::uint8_t{IN6_ADDR_GEN_MODE_NONE});
      });
    });
  }
  port.nest(IFLA_LINKINFO, [](Message& info) {
    info.attr(IFLA_INFO_SLAVE_KIND, "bridge");
    // Hairpin: with br_netfilter a connection of a pod to its own host port leaves by the port it came in.
    info.nest(IFLA_INFO_SLAVE_DATA, [](Message& data) { data.attr(IFLA_BRPORT_MODE, std::uint8_t{1}); });
  });

  Message up{RTM_NEWLINK, NLM_F_ACK, format_text("RTM_NEWLINK {} up", quote(plan.host_name))};
  up.append(up_header()).attr(IFLA_IFNAME, plan.host_name);

  std::vector<Message> requests;
  requests.push_back(std::move(create));
  requests.push_back(std::move(port));
  requests.push_back(std::move(up));
  return requests;
}

Status set_link_up(netlink::Socket& socket, int index, const std::string& name) {
  Message message{RTM_NEWLINK, NLM_F_ACK, format_text("RTM_NEWLINK {} up", quote(name))};
  message.append(up_header(index));
  return socket.apply(std::move(message));
}

Status delete_link(netlink::Socket& socket, const std::string& name) {
  auto done = socket.apply(link_request(RTM_DELLINK, NLM_F_ACK, name, "RTM_DELLINK"));
  if (!done.has_value() && done.error().os_errno() == ENODEV) return ok();
  return done;
}

Status delete_links(netlink::Socket& socket, const std::vector<std::string>& names) {
  if (names.size() == 1) return delete_link(socket, names.front());
  for (const auto& name : names) {
    auto marked = link_request(RTM_SETLINK, NLM_F_ACK, name, "RTM_SETLINK group");
    marked.attr(IFLA_GROUP, kDoomedGroup);
    auto done = socket.apply(std::move(marked));
    if (!done.has_value() && done.error().os_errno() != ENODEV) return done;
  }
  Message message{RTM_DELLINK, NLM_F_ACK, format_text("RTM_DELLINK of {} interfaces", names.size())};
  message.append(ifinfomsg{}).attr(IFLA_GROUP, kDoomedGroup);
  auto done = socket.apply(std::move(message));
  if (!done.has_value() && done.error().os_errno() == ENODEV) return ok();  // all were gone already
  return done;
}

}  // namespace husk::netns
