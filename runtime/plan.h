// Room 3 of create: Spec and options → ContainerPlan. Pure, but for the kept seccomp filters
// when they are given; what this version cannot do is refused here, by name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cgroups/cgroup.h"
#include "namespaces.h"
#include "oci-spec/runtime_spec.h"
#include "process_plan.h"
#include "rootfs/rootfs.h"
#include "sysctl.h"

namespace husk::runtime {

struct CreateOptions {
  ContainerId id;
  std::string bundle;           // absolute
  std::string config_path;      // "" = <bundle>/config.json
  std::string console_socket;   // "" = none
  std::string pidfd_socket;     // "" = none
  std::string notify_socket;    // the host's $NOTIFY_SOCKET; "" = none
  std::string pid_file;         // "" = none
  bool no_pivot = false;
  bool new_keyring = true;
  int preserve_fds = 0;
  int listen_fds = 0;           // of preserve_fds, how many $LISTEN_FDS announces
  cgroups::Driver driver = cgroups::Driver::cgroupfs;
  bool foreground = false;      // `husk run` without --detach: a terminal of its own is possible
};

struct ContainerPlan {
  std::string id;
  std::string bundle;
  NamespacePlan namespaces;
  rootfs::RootfsPlan rootfs;
  cgroups::Plan cgroup;
  std::optional<ProcessPlan> process;
  std::vector<oci::NetDevice> net_devices;
  std::vector<SysctlWrite> sysctls;
  std::string hostname;
  std::string domainname;
  oci::Hooks hooks;
  oci::StringMap annotations;
  // A container with its own cgroup namespace and a writable mount of it owns its cgroup.
  // Source: config-linux.md#cgroup-ownership.
  bool delegate_cgroup = false;
};
// The part of it that says which cgroup: the caller's, or one in what was delegated to us.
Result<cgroups::Plan> plan_cgroup(const oci::Spec& spec, const std::string& id, cgroups::Driver driver);
Result<ContainerPlan> make_container_plan(const oci::Spec& spec, const CreateOptions& options,
                                          const SeccompCache* filters = nullptr);

// The plan as text, for `husk create --print-plan`.
std::string plan_text(const ContainerPlan& plan);

}  // namespace husk::runtime
