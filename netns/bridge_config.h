// The bridge engine's configuration, checked once; inside, nothing is checked again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/ip_address.h"
#include "netns/link.h"
#include "netns/pod_network.h"

namespace husk::netns {

struct CheckedConfig {
  std::string bridge;
  Subnet subnet;
  std::optional<Subnet> subnet6;
  std::string state_dir;
  std::string table;
  std::uint32_t mtu = 0;

  std::vector<Subnet> subnets() const;
  std::uint32_t last_offset() const;  // pods get offsets 2 to this one of each subnet
  std::vector<IpAddress> pod_addresses(std::uint32_t offset) const;
};

inline constexpr std::uint32_t kGatewayOffset = 1;
inline constexpr std::uint32_t kFirstPodOffset = 2;

Result<CheckedConfig> parse_bridge_config(const BridgeConfig& config);

// The name of the host's end: the same for a pod id at all times, so that a crash cannot lose it.
std::string host_interface_name(const std::string& pod_id);
// Locally administered and made from the IPv4 address: an address that comes back has the same MAC, so that
// no neighbour entry is ever stale.
MacAddress mac_of(const IpAddress& ipv4);

// A port mapping with its address parsed: absent = every address of the host.
struct CheckedPort {
  std::uint8_t protocol = 0;  // IPPROTO_*
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  std::optional<IpAddress> host_address;
  bool only_family = false;  // "0.0.0.0" and "::": every address, but of `family` only
  Family family = Family::ipv4;

  bool applies_to(Family wanted) const;
  bool collides_with(const CheckedPort& other) const;
  std::string text() const;  // "127.0.0.1:8080/tcp"
};
// Drops ports without a host port and exact repetitions. Errors: invalid.
Result<std::vector<CheckedPort>> parse_ports(const std::vector<PortMapping>& ports, bool has_ipv6);

}  // namespace husk::netns
