// The host's half of the pod network: the bridge with its gateway addresses, and the host's sysctls.
#pragma once

#include <mutex>

#include "netns/bridge_config.h"
#include "netns/link.h"
#include "netns/netlink/socket.h"

namespace husk::netns {

class HostSide {
 public:
  explicit HostSide(const CheckedConfig& config) : config_{config} {}

  // Errors: invalid, when a route of the host leads to a part of the pods' subnet by another way.
  Status check_overlap(netlink::Socket& route) const;
  // Makes what is missing and returns the bridge. One query when nothing is. Leaves no half of a bridge.
  Result<Link> ensure_bridge(netlink::Socket& route);
  Status remove_bridge(netlink::Socket& route);

 private:
  Result<Link> make_bridge(netlink::Socket& route) const;
  Status equip_bridge(netlink::Socket& route, const Link& bridge) const;
  Status ensure_host_sysctls() const;

  const CheckedConfig& config_;
  std::mutex mutex_;
  int equipped_index_ = 0;  // of the bridge that has its addresses and sysctls
};

}  // namespace husk::netns
