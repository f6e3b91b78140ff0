// The nf_tables part of the pod network: static chains and rules, and two maps a family that hold the host
// ports. A pod that comes or goes only changes elements of maps. `nft list table ip husk` shows it all.
#pragma once

#include <string>
#include <vector>

#include "netns/bridge_config.h"
#include "netns/netlink/socket.h"
#include "netns/nft.h"

namespace husk::netns {

struct PublishedPorts {
  std::vector<IpAddress> addresses;  // of the pod
  std::vector<CheckedPort> ports;
};

class Ruleset {
 public:
  explicit Ruleset(const CheckedConfig& config) : config_{config} {}

  // Replaces our tables in one transaction by fresh ones with these ports: what is there, what somebody
  // flushed and what an older version left makes no difference.
  Status install(netlink::Socket& socket, const std::vector<PublishedPorts>& pods) const;
  // False when a foreign `nft flush` took rules of ours.
  Result<bool> is_complete(netlink::Socket& socket) const;
  // One transaction. Errors: not_found or exists: the maps are not what we left, `install` repairs them.
  Status add(netlink::Socket& socket, const PublishedPorts& pod) const;
  Status remove(netlink::Socket& socket, const std::vector<PublishedPorts>& pods) const;
  Status uninstall(netlink::Socket& socket) const;  // absence is success

  // What `install` sends; for tests.
  std::vector<nft::Message> plan(const std::vector<PublishedPorts>& pods) const;

 private:
  const CheckedConfig& config_;
};

}  // namespace husk::netns
