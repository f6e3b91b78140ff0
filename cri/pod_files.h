// /etc/hosts, /etc/hostname and /etc/resolv.conf of a pod, and where a pod's things lie on the host.
// Source: cri-api, PodSandboxConfig (hostname, dns_config).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cri/make_spec.h"

namespace husk::cri {

// Everything of a pod below the state directory has its name here.
struct PodPaths {
  std::string directory;    // "<state>/pods/<id>": also the monitor's
  std::string bundles;      // "<directory>/bundles", one directory a container
  std::string shm;
  std::string hosts;
  std::string hostname;
  std::string resolv_conf;
  std::string netns;        // "<state>/netns/<id>"
  std::string cgroup_note;  // names a pod cgroup of our own, for the clean-up after a crash
};
PodPaths pod_paths(const std::string& state, const std::string& pod_id);

std::string hosts_text(const std::string& hostname, const std::vector<std::string>& addresses);
// Errors: invalid (an entry with white space or of absurd length).
Result<std::string> resolv_conf_text(const DnsConfig& dns);
// Creates the three files. With the host's network hosts and, without DNS settings, resolv.conf are
// copies of the host's.
Status write_pod_files(const PodPaths& paths, const PodConfig& config, const std::string& hostname,
                       const std::vector<std::string>& addresses);
// What containers of the pod mount.
PodFiles files_of(const PodPaths& paths, const PodRecord& pod);

}  // namespace husk::cri
