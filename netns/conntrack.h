// Connection tracking: forgets UDP flows to a host port.
#pragma once

#include <cstdint>

#include "netns/netlink/socket.h"

namespace husk::netns {

// A UDP client that keeps sending keeps its entry alive, and an entry keeps its translation: to a pod that is
// gone, or to none from before the port was published. TCP needs no such thing: its connections end.
Status forget_udp_flows(netlink::Socket& netfilter, std::uint8_t address_family, std::uint16_t host_port);

}  // namespace husk::netns
