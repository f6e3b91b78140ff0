// What CRI asks for, as plain data without protobuf: configs of pods and containers, checked at the
// edge by from_proto.cc. Read PodConfig and ContainerConfig first; records.h is what we keep of them.
// Source: cri-api, api.proto: names and meanings of runtime.v1.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "oci-spec/runtime_spec.h"

namespace husk::cri {

using oci::StringMap;

enum class NamespaceMode : std::uint8_t { pod, container, node, target };  // values of the protocol

struct NamespaceOptions {
  NamespaceMode network = NamespaceMode::pod;
  NamespaceMode pid = NamespaceMode::pod;
  NamespaceMode ipc = NamespaceMode::pod;
  std::string target_id;  // with pid == target
};

enum class ProfileType : std::uint8_t { runtime_default, unconfined, localhost };
struct SecurityProfile {
  ProfileType type = ProfileType::unconfined;
  std::string localhost_ref;
};

struct SelinuxOptions {
  std::string user;
  std::string role;
  std::string type;
  std::string level;
  bool empty() const { return user.empty() && role.empty() && type.empty() && level.empty(); }
};

struct Resources {  // 0 and "" mean "not given", as in the protocol
  std::int64_t cpu_period = 0;
  std::int64_t cpu_quota = 0;
  std::int64_t cpu_shares = 0;
  std::int64_t memory_limit = 0;
  std::int64_t memory_swap_limit = 0;
  std::int64_t oom_score_adj = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::vector<oci::HugepageLimit> hugepage_limits;
  StringMap unified;
};

struct PodMetadata {
  std::string name;
  std::string uid;
  std::string namespace_name;
  std::uint32_t attempt = 0;
  auto operator<=>(const PodMetadata&) const = default;
};

struct DnsConfig {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

struct PortMapping {
  std::string protocol = "tcp";
  std::uint16_t container_port = 0;
  std::uint16_t host_port = 0;
  std::string host_ip;
};

struct PodConfig {
  PodMetadata metadata;
  std::string hostname;
  std::string log_directory;
  std::optional<DnsConfig> dns;
  std::vector<PortMapping> ports;
  StringMap labels;
  StringMap annotations;
  std::string cgroup_parent;
  StringMap sysctls;
  NamespaceOptions namespaces;
  std::optional<std::uint32_t> run_as_user;
  std::optional<std::uint32_t> run_as_group;
  std::vector<std::uint32_t> supplemental_groups;
  bool readonly_rootfs = false;
  bool privileged = false;
  std::optional<SecurityProfile> seccomp;
  std::optional<SecurityProfile> apparmor;
  SelinuxOptions selinux;
  std::string runtime_handler;
};

enum class Propagation : std::uint8_t { none, host_to_container, bidirectional };

struct MountRequest {
  std::string container_path;
  std::string host_path;
  bool readonly = false;
  bool selinux_relabel = false;
  bool recursive_read_only = false;
  Propagation propagation = Propagation::none;
  std::string image;           // an image volume; host_path is empty then
  std::string image_sub_path;
  std::string image_ref;       // filled in: id of the image, echoed in the status
};

struct DeviceRequest {
  std::string container_path;
  std::string host_path;
  std::string permissions;  // "rwm"
};

struct CapabilityChanges {
  std::vector<std::string> add;
  std::vector<std::string> drop;
  std::vector<std::string> add_ambient;
};

enum class GroupsPolicy : std::uint8_t { merge, strict };

struct ContainerConfig {
  std::string name;
  std::uint32_t attempt = 0;
  std::string image;                 // reference or id
  std::string user_specified_image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::string working_dir;
  std::vector<std::string> env;      // "NAME=value"
  std::vector<MountRequest> mounts;
  std::vector<DeviceRequest> devices;
  StringMap labels;
  StringMap annotations;
  std::string log_path;              // relative to the pod's log directory
  bool stdin_open = false;
  bool stdin_once = false;
  bool tty = false;
  int stop_signal = 0;               // 0: the image's, else SIGTERM
  Resources resources;
  CapabilityChanges capabilities;
  bool privileged = false;
  NamespaceOptions namespaces;
  SelinuxOptions selinux;
  std::optional<std::uint32_t> run_as_user;
  std::optional<std::uint32_t> run_as_group;
  std::string run_as_username;
  std::vector<std::uint32_t> supplemental_groups;
  GroupsPolicy groups_policy = GroupsPolicy::merge;
  bool readonly_rootfs = false;
  bool no_new_privileges = false;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::optional<SecurityProfile> seccomp;
  std::optional<SecurityProfile> apparmor;
};

// A text that changes when any field of a request changes: tells a retry from another request.
std::string fingerprint(const PodConfig& config);
std::string fingerprint(const ContainerConfig& config);

}  // namespace husk::cri
