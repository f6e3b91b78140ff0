// Looks up what make_container_spec needs: users in the image, mount sources, device numbers, profiles.
#pragma once

#include <string>

#include "base/result.h"
#include "base/rollback.h"
#include "cri/node.h"

namespace husk::cri {

// Host paths resolved; image volumes mounted (their undo registered, their keys appended to `volumes`).
Result<std::vector<ResolvedMount>> resolve_mounts(Node& node, const ContainerConfig& config, const std::string& id,
                                                  std::vector<std::string>& volumes, Rollback& undo);
Result<std::vector<ResolvedDevice>> resolve_devices(Host& host, const ContainerConfig& config);
// The profile that a security context means; nullopt = unconfined.
Result<std::optional<oci::Seccomp>> resolve_seccomp(const std::optional<SecurityProfile>& profile,
                                                    const oci::Capabilities& capabilities, const HostFacts& facts);
// AppArmor and SELinux wishes that this kernel cannot grant are errors.
Status check_security_modules(const std::optional<SecurityProfile>& apparmor, const SelinuxOptions& selinux,
                              const HostFacts& facts);
// Makes what the image declares (working directory, VOLUMEs) in the container's root file system.
Status prepare_directories(const RootDir& rootfs, const ContainerConfig& config, const images::ImageConfig& image);
// "<pod's log directory>/<log_path>", "" = no log. Errors: invalid (a path that leads out).
Result<std::string> plan_log_path(const PodRecord& pod, const ContainerConfig& config);
Result<int> plan_stop_signal(const ContainerConfig& config, const images::ImageConfig& image);

}  // namespace husk::cri
