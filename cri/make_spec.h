// CRI request + image + host facts → OCI Spec. Pure: everything that must be looked up (users, device
// numbers, link targets, profiles) is resolved before, in container_inputs.cc. Read
// make_container_spec first. Source: cri-api, PodSandboxConfig and ContainerConfig.
// Files: make_spec.cc (both specs), spec_mounts.cc, spec_process.cc, seccomp_default.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cri/capabilities.h"
#include "cri/model.h"
#include "cri/records.h"
#include "cri/user_lookup.h"
#include "images/images.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cri {

// What this host and huskd.toml allow; read once at start.
struct HostFacts {
  CapabilitySets capabilities;
  bool cgroup2 = false;
  bool systemd_cgroup = false;       // the cgroup driver
  std::string scope_prefix = "husk";
  bool swap_accounting = false;
  bool hugetlb = true;               // limits on huge pages can be held
  bool apparmor = false;
  bool selinux = false;
  int lowest_oom_score_adj = -1000;  // ours without CAP_SYS_RESOURCE: going lower is EACCES
  std::int64_t pids_limit = 0;
  std::vector<oci::Rlimit> rlimits;
  std::optional<oci::Seccomp> seccomp_profile;  // of huskd.toml; absent: default_seccomp
};

// Files of the pod on the host.
struct PodFiles {
  std::string hosts;
  std::string hostname;
  std::string resolv_conf;
  std::string shm;  // directory; "/dev/shm" with the host's IPC
};

struct SandboxInput {
  const PodConfig& config;
  std::string id;
  std::string hostname;
  std::string rootfs;
  std::string netns_path;  // "" = the host's
  std::string cgroup_parent;
  std::optional<oci::Seccomp> seccomp;
};
Result<oci::Spec> make_sandbox_spec(const SandboxInput& input, const HostFacts& host);

struct ResolvedMount {
  MountRequest request;
  std::string source;  // an existing path, links followed
};
struct ResolvedDevice {
  oci::Device device;
  std::string access;  // "rwm"
};

struct ContainerInput {
  const ContainerConfig& config;
  const PodRecord& pod;
  const images::ImageConfig& image;
  std::string id;
  std::string rootfs;
  PodFiles files;
  ResolvedUser user;
  std::vector<ResolvedMount> mounts;
  std::vector<ResolvedDevice> devices;
  std::string netns_path;            // "" = the host's
  std::int32_t target_pid = 0;       // with pid == target
  std::optional<oci::Seccomp> seccomp;
};
Result<oci::Spec> make_container_spec(const ContainerInput& input, const HostFacts& host);

// ---- parts, tested alone ------------------------------------------------------------------------
// cgroupsPath below a pod's parent, in the form of the driver: <parent>/<id>, or <slice>:<prefix>:<id>.
std::string container_cgroup(const std::string& parent, const std::string& id, const HostFacts& host);
// The form of a parent that the driver can use; kubelet sends it, and "" is not asked here. Errors: invalid.
Status check_parent_form(const std::string& parent, const HostFacts& host);
std::vector<oci::Mount> plan_mounts(const ContainerInput& input);
std::string plan_root_propagation(const std::vector<ResolvedMount>& mounts);
Result<oci::Process> plan_process(const ContainerInput& input, const HostFacts& host);
oci::Resources plan_resources(const Resources& from, const HostFacts& host);
// Errors: invalid for a key that is not namespaced, or whose namespace is the host's.
struct PodSysctls {
  StringMap network;  // written when the pod's network namespace is made
  StringMap other;    // written by the runtime for the sandbox
};
Result<PodSysctls> plan_sysctls(const PodConfig& config, bool unprivileged_ports, bool unprivileged_ping);
// Number of a STOPSIGNAL: "15", "TERM", "SIGTERM", "SIGRTMIN+3", "SIGRTMAX-1".
Result<int> parse_signal(std::string_view text);
// What RuntimeDefault means: an allow list; some calls only with their capability.
oci::Seccomp default_seccomp(const oci::Capabilities& capabilities);
// An OCI "linux.seccomp" document (a Localhost profile).
Result<oci::Seccomp> parse_seccomp_profile(std::string_view text, const std::string& name);

}  // namespace husk::cri
