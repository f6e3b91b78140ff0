// What the services share; built once in main.cc. MonitorTable: the living connection of each pod.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cri/config.h"
#include "cri/host.h"
#include "cri/make_spec.h"
#include "cri/monitor_client.h"
#include "cri/pod_files.h"
#include "cri/record_store.h"
#include "images/images.h"
#include "netns/pod_network.h"

namespace husk::cri {

class MonitorTable {
 public:
  void put(const std::string& pod_id, std::shared_ptr<PodMonitor> monitor) {
    const std::lock_guard lock{mutex_};
    table_[pod_id] = std::move(monitor);
  }
  void erase(const std::string& pod_id) {
    const std::lock_guard lock{mutex_};
    table_.erase(pod_id);
  }
  std::shared_ptr<PodMonitor> find(const std::string& pod_id) const {  // nullptr: there is none
    const std::lock_guard lock{mutex_};
    const auto at = table_.find(pod_id);
    return at == table_.end() ? nullptr : at->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PodMonitor>> table_;
};

struct Node {
  const Config& config;
  const HostFacts& facts;
  PodStore& pods;
  ContainerStore& containers;
  images::Images& images;
  netns::PodNetwork& network;
  Host& host;
  Monitors& monitors;
  std::string pause_rootfs;
  MonitorTable connections{};

  PodPaths paths(const std::string& pod_id) const { return pod_paths(config.state, pod_id); }
  std::int64_t timeout_ms() const { return config.runtime.request_timeout_seconds * 1000; }
};

// Writes `spec` where husk looks for it. Makes the directory.
Status write_bundle(const std::string& directory, const oci::Spec& spec);
// The container of `pod_id` as its monitor sees it; nullopt when it knows none of that id.
Result<std::optional<monitor::ContainerInfo>> ask_status(PodMonitor& monitor, const std::string& id);

// Marks the end of a container in its record; false when it was known.
bool apply_exit(ContainerRecord& record, const monitor::ExitRecord& exit);
bool apply_unknown_exit(ContainerRecord& record, const std::string& message);

}  // namespace husk::cri
