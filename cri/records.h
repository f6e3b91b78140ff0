// What is kept of a pod and of a container: in memory for List and Status, as JSON on disk for the
// next huskd. A record is written before the reply that announces it leaves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cri/model.h"

namespace husk::cri {

struct PodRecord {
  std::string id;
  PodMetadata metadata;
  std::string fingerprint;      // of the request, for retries
  std::string runtime_handler;
  std::string hostname;
  std::string log_directory;
  std::string cgroup_parent;    // where the containers' cgroups lie
  bool owns_cgroup_parent = false;
  bool privileged = false;
  StringMap labels;
  StringMap annotations;
  NamespaceOptions namespaces;
  std::string netns_path;       // "" = the host's network
  std::vector<std::string> addresses;
  std::int64_t created_at_ns = 0;
  std::int32_t pause_pid = 0;
  std::string pause_cgroup;
  bool ready = false;
  bool released = false;        // nothing of it is left in the kernel
};

enum class ContainerState : std::uint8_t { created, running, exited, unknown };  // values of the protocol

struct ContainerUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
};

struct ContainerRecord {
  std::string id;
  std::string pod_id;
  std::string name;
  std::uint32_t attempt = 0;
  std::string fingerprint;
  std::string image;                 // as asked
  std::string image_name;            // for people
  std::string user_specified_image;
  std::string image_ref;
  std::string image_id;
  StringMap labels;
  StringMap annotations;
  std::string log_path;              // absolute, "" = none
  std::vector<MountRequest> mounts;
  std::vector<std::string> image_volumes;  // keys to unmount at removal
  Resources resources;
  ContainerUser user;
  int stop_signal = 15;
  bool tty = false;
  std::string rootfs;
  std::string cgroup_path;
  std::int32_t pid = 0;
  ContainerState state = ContainerState::created;
  std::int64_t created_at_ns = 0;
  std::int64_t started_at_ns = 0;
  std::int64_t finished_at_ns = 0;
  std::int32_t exit_code = 0;
  std::string reason;
  std::string message;
};

std::string encode(const PodRecord& record);
std::string encode(const ContainerRecord& record);
Result<PodRecord> decode_pod_record(std::string_view text);
Result<ContainerRecord> decode_container_record(std::string_view text);

}  // namespace husk::cri
