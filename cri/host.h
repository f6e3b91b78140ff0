// What a pod needs from the kernel beside its processes: a seam, so that each step of RunPodSandbox can
// be made to fail in a test. RealHost calls netns, cgroups, mount and husk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cri/make_spec.h"

namespace husk::cri {

class Host {
 public:
  virtual ~Host() = default;
  virtual Status create_netns(const std::string& path, const StringMap& sysctls) = 0;
  virtual Status remove_netns(const std::string& path) = 0;          // absence is success
  virtual Status mount_shm(const std::string& path, std::uint64_t bytes) = 0;
  virtual Status unmount(const std::string& path) = 0;               // absence is success
  virtual bool has_cgroup(const std::string& path) = 0;
  virtual Status remove_cgroup(const std::string& path) = 0;         // kills what is left in it
  virtual Result<cgroups::Stats> cgroup_stats(const std::string& path) = 0;
  virtual Status update_cgroup(const std::string& path, const oci::Resources& resources) = 0;
  // `husk delete --force`: for containers whose monitor is gone. Absence is success.
  virtual Status delete_container(const std::string& id) = 0;
  virtual Status kill_monitor(const std::string& pod_directory) = 0;  // see monitor_process.h
  virtual Status kill_creation(const std::string& container_id) = 0;
  virtual std::vector<std::string> runtime_containers() = 0;         // ids known to husk
  // Links followed; a missing directory is made when `create` is set. Errors: not_found.
  virtual Result<std::string> resolve_path(const std::string& path, bool create) = 0;
  // What the mount that holds `path` passes on: "shared", "slave", or "private".
  virtual Result<std::string> propagation_of(const std::string& path) = 0;
  // One node, or all nodes below a directory. `access` is a subset of "rwm".
  virtual Result<std::vector<ResolvedDevice>> find_devices(const DeviceRequest& request) = 0;
  virtual Result<std::vector<ResolvedDevice>> all_devices() = 0;     // of /dev, for privileged containers
};

struct RealHostOptions {
  std::string husk;          // program
  std::string runtime_root;
};
std::unique_ptr<Host> make_host(RealHostOptions options);

// Reads what make_spec must know of this machine.
HostFacts read_host_facts();
std::string read_host_name();

// Which propagation /proc/self/mountinfo gives the mount that holds `path` (absolute, links resolved).
std::string parse_propagation(std::string_view mountinfo, std::string_view path);

}  // namespace husk::cri
