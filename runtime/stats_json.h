// Statistics in the shape of `runc events`. Source: runc, types/events.go; names that are not there are our additions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/stats.h"
#include "oci-spec/json.h"
#include "record.h"

namespace husk::runtime {

// A network interface as the container sees it. Source: man 5 proc, /proc/net/dev.
struct InterfaceCounters {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};
// Without "lo". Pure.
std::vector<InterfaceCounters> parse_interfaces(std::string_view proc_net_dev);
// Of a container with a network namespace of its own; none for the host's, which are not its own.
std::vector<InterfaceCounters> read_interfaces(pid_t init);

// {"type":"stats","id":…,"data":…}. Pure.
oci::Json stats_event(const std::string& id, const cgroups::Stats& stats,
                      const std::vector<InterfaceCounters>& interfaces = {}, oci::Json intel_rdt = oci::Json::object());

}  // namespace husk::runtime
