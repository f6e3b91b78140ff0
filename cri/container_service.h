// Life of containers: create, start, stop, remove, exec, logs, limits. Knows no protobuf.
// Read create_new first: its numbered steps each register their undo.
// Source: cri-api, api.proto at StopContainer, RemoveContainer (idempotence, time-out) and ContainerConfig.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cri/joined_calls.h"
#include "cri/node.h"

namespace husk::cri {

class ContainerService {
 public:
  explicit ContainerService(Node& node) : node_{node} {}

  // A repeated call with the same name, attempt and configuration joins a running one and gives the id
  // of a container that is not started yet. Errors: not_found (pod, image), exists, wrong_state.
  Result<std::string> create(const std::string& pod_id, const ContainerConfig& config);
  Status start(const std::string& id);
  // Unknown or ended: success.
  Status stop(const std::string& id, std::int64_t timeout_seconds);
  Status remove(const std::string& id);
  Status update_resources(const std::string& id, const Resources& changes);
  Status reopen_log(const std::string& id);

  struct ExecResult {
    std::string out;
    std::string err;
    std::int32_t exit_code = 0;
  };
  Result<ExecResult> exec(const std::string& id, const std::vector<std::string>& command, std::int64_t timeout_seconds);

  // For PodService, which holds the lock of the pod.
  std::vector<ContainerRef> of_pod(const std::string& pod_id) const;
  Status stop_all(const PodRecord& pod);  // kills and forgets them in the monitor
  KeyedLocks& pod_locks() { return pod_locks_; }
  std::vector<JoinedCalls::Running> running_calls() const { return calls_.running(); }

 private:
  void undo_creation(PodMonitor& connection, const std::string& id);
  Result<std::string> create_new(const std::string& pod_id, const ContainerConfig& config,
                                 const std::string& fingerprint, Stage& stage);
  Status wait_for_exit(const ContainerRecord& record, PodMonitor& monitor, std::int64_t timeout_seconds);
  Result<ContainerRef> find_running(const std::string& id, const char* what) const;

  Node& node_;
  JoinedCalls calls_;
  KeyedLocks pod_locks_;
  KeyedLocks locks_;
};

}  // namespace husk::cri
