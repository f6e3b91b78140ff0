// linux.netDevices, through the program husk-netdev (netns/netdev), which stands beside husk.
// Source: runtime-spec config-linux.md#network-devices.
#pragma once

#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "namespaces.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

// Devices that were moved; without keep() they go back when this goes, or husk dies.
class NetDevices {
 public:
  NetDevices() = default;
  NetDevices(NetDevices&&) = default;
  NetDevices& operator=(NetDevices&&) = delete;
  ~NetDevices();
  // Into the network namespace of `init`, or the one that the plan joins.
  static Result<NetDevices> move(const std::vector<oci::NetDevice>& devices, const NamespacePlan& plan, pid_t init);
  void keep();

 private:
  NetDevices(UniqueFd channel, Child mover) : channel_{std::move(channel)}, mover_{std::move(mover)} {}
  UniqueFd channel_;
  Child mover_;
};

}  // namespace husk::runtime
