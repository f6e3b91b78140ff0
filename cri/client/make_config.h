// Options of `run` → the messages that kubelet would send.
#pragma once

#include <string>

#include "base/result.h"
#include "cri/client/connection.h"
#include "cri/client/text/options.h"

namespace husk::pod {

Result<cri::PodSandboxConfig> make_pod_config(const Options& options);
Result<cri::ContainerConfig> make_container_config(const Options& options);

// What RunPodSandbox was given, as far as the status tells it: to add a container to the pod.
cri::PodSandboxConfig config_of(const cri::PodSandboxStatus& status);

// The log directory that `run` made for this pod, "" when it did not. An annotation names it; since
// anyone who makes pods may write annotations, it counts only when its last component is this pod's.
std::string own_log_directory(const cri::PodSandbox& pod);

}  // namespace husk::pod
