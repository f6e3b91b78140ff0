// Network interfaces through rtnetlink: find, bridge, veth, up, delete, counters.
// Source: man 7 rtnetlink, linux/if_link.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/netlink/socket.h"
#include "netns/pod_network.h"

namespace husk::netns {

inline constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

using MacAddress = std::array<std::uint8_t, 6>;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;   // "bridge", "veth", …; "" for hardware and lo
  std::string alias;
  int master = 0;     // index of its bridge
  bool up = false;
  std::uint32_t mtu = 0;
  InterfaceStats stats;
};

Result<std::optional<Link>> find_link(netlink::Socket& socket, const std::string& name);
Result<std::vector<Link>> list_links(netlink::Socket& socket);

// An up bridge without spanning tree. The MAC is fixed: else it follows the lowest port's and every
// pod that comes or goes may invalidate the neighbours' ARP entries.
Status create_bridge(netlink::Socket& socket, const std::string& name, const MacAddress& mac, std::uint32_t mtu);

struct VethPlan {
  std::string host_name;
  int bridge_index = 0;
  int peer_namespace_fd = -1;
  std::string peer_name = "eth0";
  MacAddress peer_mac{};
  std::uint32_t mtu = 0;     // 0: the kernel's default
  std::string alias;         // of the host end
  bool quiet_ipv6 = true;    // no link-local address on the host end
};
// The messages that make a pair whose peer is born in the other namespace, down: the kernel refuses to
// open a peer that has no partner yet (ENOTCONN, measured on 6.18).
std::vector<netlink::Message> veth_requests(const VethPlan& plan);

Status set_link_up(netlink::Socket& socket, int index, const std::string& name);
Status delete_link(netlink::Socket& socket, const std::string& name);  // absence is success
// Many at once, for the price of one: they are put in a group, and the group is deleted.
Status delete_links(netlink::Socket& socket, const std::vector<std::string>& names);

}  // namespace husk::netns
