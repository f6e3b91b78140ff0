// Entering existing namespaces by descriptors that were opened on the host side.
// Source: man 2 setns, man 7 user_namespaces, man 2 ioctl_nsfs.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "namespaces.h"

namespace husk::runtime {

// The cgroups of v1, first of all (cgroups::Cgroup::open_entries); closes the descriptors.
Status enter_cgroups(std::vector<UniqueFd>& entries);

// In init, without a stage: all but pid (the parent entered it just before the clone).
Status join_namespaces(const NamespacePlan& plan, const JoinHandles& handles);

// In the stage: those that do not belong to the joined user namespace while we still have the host's
// rights, then the user namespace, then the rest with the rights of its root; then a new time
// namespace, which becomes the one of children.
Status join_namespaces_before_clone(const NamespacePlan& plan, const JoinHandles& handles);

// A new time namespace for children of the caller, with its offsets. Source: man 7 time_namespaces.
Status make_time_namespace(const NamespacePlan& plan, int offsets_fd);
Result<UniqueFd> open_time_offsets();

}  // namespace husk::runtime
