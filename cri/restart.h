// What happens without a request: ends of containers and monitors, and the first moments of huskd, when
// records, monitors and leftovers of an earlier one are brought together.
#pragma once

#include "base/result.h"
#include "cri/node.h"

namespace husk::cri {

class ExitWatch : public MonitorEvents {
 public:
  explicit ExitWatch(Node& node) : node_{node} {}
  void container_exited(const std::string& pod_id, const monitor::ExitRecord& record) override;
  void monitor_lost(const std::string& pod_id) override;

 private:
  Node& node_;
};

// Records → living monitors; exit records of what ended meanwhile; "not ready" and 255 for what nobody
// watched; then everything that no record names is removed. Problems with one pod are warnings: the
// others must come up.
Status reconcile(Node& node);

}  // namespace husk::cri
