// The façade cri sees: a pod's network namespace and its connection. One interface, two engines
// (the built-in bridge here; a CNI chain later).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::netns {

// A network namespace pinned by a bind mount at `path`; survives the daemon.
struct PinnedNetns {
  std::string path;  // "/run/husk/netns/<pod id>"
};
// Creates it on a short-lived thread (the namespace belongs to that thread until it is pinned).
// Brings `lo` up. `sysctls` are net.* keys with dots, written inside. Errors leave nothing behind.
Result<PinnedNetns> create_pinned(const std::string& path,
                                  const std::vector<std::pair<std::string, std::string>>& sysctls);
Status remove_pinned(const std::string& path);  // absence is success

struct PortMapping {
  std::string protocol = "tcp";  // tcp, udp, sctp
  std::uint16_t container_port = 0;
  std::uint16_t host_port = 0;   // 0 = not published
  std::string host_ip;           // "" = every address of the host
};
struct PodRequest {
  std::string pod_id;
  std::string name;  // for records and errors: "namespace/name"
  std::string uid;
  std::string netns_path;
  std::vector<PortMapping> ports;
};
struct Attachment {
  std::vector<std::string> addresses;  // without prefix length; first is primary
  std::string interface_name;          // inside: "eth0"
  std::string host_interface;          // "veth…"; "" when there is none
};
struct InterfaceStats {
  std::string name;
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_errors = 0;
};

class PodNetwork {
 public:
  virtual ~PodNetwork() = default;
  // "" when pods can be connected, else the reason for CRI's NetworkReady condition.
  virtual std::string not_ready_reason() = 0;
  // Idempotent per pod id: a second call with the same id gives the same addresses.
  virtual Result<Attachment> set_up(const PodRequest& request) = 0;
  // Works from the record on disk alone; also when the namespace is gone. Absence is success.
  virtual Status tear_down(const std::string& pod_id) = 0;
  // Removes records, links and port mappings of pods that are not in `living`.
  virtual Status collect_garbage(const std::vector<std::string>& living) = 0;
  virtual Result<std::vector<InterfaceStats>> stats(const std::string& netns_path) = 0;
  // Takes the shared parts (bridge, tables) away when no pod has a record; they come back by themselves. For
  // an operator who is done; a daemon that stops must not call it while pods live.
  virtual Status remove_when_unused() { return ok(); }
};

struct BridgeConfig {
  std::string bridge = "husk0";
  std::string subnet = "10.88.0.0/16";   // first address is the bridge's
  std::string state_dir;                 // records of addresses; durable ("<root>/network")
  std::string table = "husk";            // nftables table, one of family ip and one of family ip6
  std::string subnet6;                   // "fd00:88::/64"; "" = pods have no IPv6 address
  std::uint32_t mtu = 0;                 // 0 = that of the host's default route
};
// Checks the configuration; makes bridge and table at the first set_up (or earlier).
Result<std::unique_ptr<PodNetwork>> make_bridge_network(const BridgeConfig& config);

}  // namespace husk::netns
