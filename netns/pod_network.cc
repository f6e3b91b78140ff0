#include "netns/pod_network.h"

#include "netns/bridge_network.h"

namespace husk::netns {

Result<std::unique_ptr<PodNetwork>> make_bridge_network(const BridgeConfig& config) {
  auto network = TRY(BridgeNetwork::create(config));
  return std::unique_ptr<PodNetwork>{std::move(network)};
}

}  // namespace husk::netns
