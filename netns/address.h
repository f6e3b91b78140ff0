// Addresses and routes through rtnetlink. Source: man 7 rtnetlink, linux/if_addr.h, linux/rtnetlink.h.
#pragma once

#include <optional>
#include <vector>

#include "netns/ip_address.h"
#include "netns/netlink/socket.h"

namespace husk::netns {

// Without duplicate address detection: an IPv6 address is usable at once (else a second or two later).
netlink::Message add_address_request(int link_index, const IpAddress& address, unsigned prefix);
netlink::Message add_default_route_request(int link_index, const IpAddress& gateway);

Status add_address(netlink::Socket& socket, int link_index, const IpAddress& address,
                   unsigned prefix);  // presence is success
Result<std::vector<IpAddress>> list_addresses(netlink::Socket& socket, int link_index);

struct Route {
  std::optional<Subnet> destination;  // absent: the default route
  int link_index = 0;
  std::uint32_t metric = 0;
};
Result<std::vector<Route>> list_routes(netlink::Socket& socket, Family family);  // unicast, table main

}  // namespace husk::netns
