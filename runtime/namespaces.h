// Which namespaces are new, which are joined, and whether a stage between parent and init is needed.
// Source: runtime-spec config-linux.md#namespaces; man 2 clone3, setns, ioctl_ns.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

struct Join {
  oci::NamespaceType type = oci::NamespaceType::pid;
  std::string path;
};

// Plain data. A new cgroup namespace is made by the child itself, once it is in its cgroup: the root
// of the namespace is the cgroup of the caller at that time. A new time namespace is made before
// the clone: its offsets can be written only while it is empty (man 7 time_namespaces).
struct NamespacePlan {
  std::uint64_t clone_flags = 0;  // new ones that clone3 makes
  bool new_user = false;
  bool new_mount = false;
  bool new_cgroup = false;
  bool new_time = false;
  bool parallel_network = false;  // a new one, made by the parent while the child mounts
  bool own_mount = false;         // new or joined: the rootfs is entered by pivot_root
  std::vector<Join> joins;
  std::string time_offsets;       // text for /proc/self/timens_offsets
  std::vector<oci::IdMapping> uid_mappings;
  std::vector<oci::IdMapping> gid_mappings;
  // A user namespace that is joined must be entered before the new ones are made in it, and a new
  // one must come after the host's are joined: an intermediate child does it and clones again.
  bool staged = false;
};
Result<NamespacePlan> plan_namespaces(const oci::Spec& spec);

std::uint64_t clone_flag(oci::NamespaceType type);  // CLONE_NEW*
std::string namespace_path(std::string_view process, oci::NamespaceType type);  // "/proc/self/ns/mnt"
bool is_same_namespace(const struct stat& a, const struct stat& b);
Result<bool> is_own_namespace(oci::NamespaceType type, const struct stat& other);

// The way to the container's init: CLONE_NEW* of what `spec` gives it. Our own user namespace is not among them:
// setns into that is EINVAL.
struct ToEnter {
  std::uint64_t others = 0;
  bool pid = false;  // for children only
};
Result<ToEnter> namespaces_to_enter(const oci::Spec& spec, pid_t init);

// The descriptors of plan.joins, opened on the host side and checked for their type.
struct JoinHandles {
  std::vector<UniqueFd> fds;  // parallel to plan.joins
};
Result<JoinHandles> open_joins(const NamespacePlan& plan);

}  // namespace husk::runtime
