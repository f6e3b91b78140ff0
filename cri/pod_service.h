// Life of pods. Knows no protobuf. Read run_new first: rooms 2-8 of the second walk of the design,
// each numbered step registers its undo.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/rollback.h"
#include "cri/container_service.h"
#include "cri/joined_calls.h"
#include "cri/node.h"

namespace husk::cri {

class PodService {
 public:
  PodService(Node& node, ContainerService& containers) : node_{node}, containers_{containers} {}

  // A repeated call with the same metadata and configuration joins a running one, and gives the id of
  // a pod that is ready. Errors: invalid, exists, unavailable (network).
  Result<std::string> run(const PodConfig& config);
  // Kills what runs, gives back network, mounts and cgroup. Unknown or stopped: success. After a failure
  // a repeated call goes on where it stopped.
  Status stop(const std::string& id);
  Status remove(const std::string& id);  // stops first; unknown: success
  std::vector<JoinedCalls::Running> running_calls() const { return calls_.running(); }

 private:
  Result<std::string> run_new(const PodConfig& config, const std::string& fingerprint, Stage& stage);
  Status make_network(const PodConfig& config, PodRecord& record, const PodSysctls& sysctls, Rollback& undo, Stage& stage);
  Status start_pause(const PodConfig& config, PodRecord& record, PodMonitor& monitor);
  Status release(const PodRecord& pod);

  Node& node_;
  ContainerService& containers_;
  JoinedCalls calls_;
};

// Asks husk-monitor to leave, killing what still runs.
Status end_monitor(PodMonitor& monitor, std::int64_t timeout_ms);

// Gives back what a pod holds in the kernel and below the state directory; each part may be gone
// already. Also used at start for pods that huskd did not finish.
Status release_pod_resources(Node& node, const std::string& pod_id, const std::string& owned_cgroup);

}  // namespace husk::cri
