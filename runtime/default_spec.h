// The config.json that `husk spec` writes: a shell with the usual namespaces, mounts and limits.
#pragma once

#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

oci::Spec default_spec();
// Changed for a user without privileges: a user namespace that maps their ids to root, no network
// namespace, no cgroup limits.
void make_rootless(oci::Spec& spec, std::uint32_t uid, std::uint32_t gid);

}  // namespace husk::runtime
