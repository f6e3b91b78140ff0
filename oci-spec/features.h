// The `features` document: what this runtime recognises. The names that the parser knows come from
// names.h; what other folders know comes in FeatureFacts.
// Source: runtime-spec features.md, features-linux.md. Absent means "unknown", so all is written out.
#pragma once

#include <string>
#include <vector>

#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

struct FeatureFacts {
  std::vector<std::string> mount_options;  // of the mount option table, without file system data
  std::vector<std::string> capabilities;   // "CAP_…" that we have a number for
  bool cgroup_v1 = false;
  bool cgroup_v2 = false;
  bool cgroup_systemd = false;
  bool cgroup_systemd_user = false;
  bool cgroup_rdma = false;
  bool seccomp = false;
  std::vector<std::string> seccomp_actions;          // those a filter can be built with; empty = all names
  std::vector<std::string> seccomp_archs;            // those libseccomp can build for; empty = all names
  std::vector<std::string> seccomp_supported_flags;  // subset of what the parser knows
  bool apparmor = false;
  bool selinux = false;
  bool intel_rdt = false;
  bool intel_rdt_schemata = false;
  bool intel_rdt_monitoring = false;
  bool memory_policy = false;
  bool idmapped_mounts = false;
  bool net_devices = false;
  StringMap annotations;                             // "org.opencontainers.runc.version" …
  std::vector<std::string> potentially_unsafe_annotations;
};

Json features_json(const FeatureFacts& facts);

}  // namespace husk::oci
