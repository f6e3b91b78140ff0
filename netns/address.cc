#include "netns/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/format.h"

namespace husk::netns {
namespace {

using netlink::Message;

constexpr std::uint16_t kCreate = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

std::optional<Family> family_of(std::uint8_t family) {
  if (family == AF_INET) return Family::ipv4;
  if (family == AF_INET6) return Family::ipv6;
  return std::nullopt;
}

std::optional<Route> parse_route(const netlink::Reply& reply) {
  const auto fixed = reply.fixed<rtmsg>();
  const auto family = family_of(fixed.rtm_family);
  if (!family.has_value() || fixed.rtm_type != RTN_UNICAST) return std::nullopt;
  std::uint32_t table = fixed.rtm_table;
  Route route;
  for (const auto& attribute : netlink::parse_attributes(reply.attributes<rtmsg>())) {
    switch (attribute.type) {
      case RTA_TABLE: table = attribute.as<std::uint32_t>().value_or(table); break;
      case RTA_OIF: route.link_index = attribute.as<int>().value_or(0); break;
      case RTA_PRIORITY: route.metric = attribute.as<std::uint32_t>().value_or(0); break;
      case RTA_DST:
        route.destination = Subnet{.network = IpAddress::from_octets(*family, attribute.payload),
                                   .prefix = fixed.rtm_dst_len};
        break;
      default: break;
    }
  }
  if (table != RT_TABLE_MAIN) return std::nullopt;
  return route;
}

}  // namespace

Message add_address_request(int link_index, const IpAddress& address, unsigned prefix) {
  Message message{RTM_NEWADDR, kCreate,
                  format_text("RTM_NEWADDR {}/{} on interface {}", address.text(), prefix, link_index)};
  ifaddrmsg header{};
  header.ifa_family = address_family(address.family);
  header.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  header.ifa_index = static_cast<std::uint32_t>(link_index);
  message.append(header).bytes(IFA_LOCAL, address.octets()).bytes(IFA_ADDRESS, address.octets());
  message.attr(IFA_FLAGS, std::uint32_t{IFA_F_NODAD});
  return message;
}

Message add_default_route_request(int link_index, const IpAddress& gateway) {
  Message message{RTM_NEWROUTE, kCreate, format_text("RTM_NEWROUTE default via {}", gateway.text())};
  rtmsg header{};
  header.rtm_family = address_family(gateway.family);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  message.append(header).bytes(RTA_GATEWAY, gateway.octets()).attr(RTA_OIF, link_index);
  return message;
}

Status add_address(netlink::Socket& socket, int link_index, const IpAddress& address, unsigned prefix) {
  auto done = socket.apply(add_address_request(link_index, address, prefix));
  if (!done.has_value() && done.error().os_errno() == EEXIST) return ok();
  return done;
}

Result<std::vector<IpAddress>> list_addresses(netlink::Socket& socket, int link_index) {
  Message message{RTM_GETADDR, NLM_F_DUMP, "RTM_GETADDR of all interfaces"};
  message.append(ifaddrmsg{});
  const auto replies = TRY(socket.dump(message));
  std::vector<IpAddress> found;
  for (const auto& reply : replies) {
    const auto fixed = reply.fixed<ifaddrmsg>();
    const auto family = family_of(fixed.ifa_family);
    if (reply.type != RTM_NEWADDR || !family.has_value() || static_cast<int>(fixed.ifa_index) != link_index) continue;
    const auto attributes = reply.attributes<ifaddrmsg>();
    auto address = netlink::find_attribute(attributes, IFA_LOCAL);
    if (!address.has_value()) address = netlink::find_attribute(attributes, IFA_ADDRESS);
    if (address.has_value()) found.push_back(IpAddress::from_octets(*family, address->payload));
  }
  return found;
}

Result<std::vector<Route>> list_routes(netlink::Socket& socket, Family family) {
  Message message{RTM_GETROUTE, NLM_F_DUMP, "RTM_GETROUTE of all routes"};
  rtmsg header{};
  header.rtm_family = address_family(family);
  message.append(header);
  const auto replies = TRY(socket.dump(message));
  std::vector<Route> routes;
  for (const auto& reply : replies) {
    if (reply.type != RTM_NEWROUTE) continue;
    if (auto route = parse_route(reply); route.has_value()) routes.push_back(*route);
  }
  return routes;
}

}  // namespace husk::netns
