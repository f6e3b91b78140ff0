// copy-symlink: a bind mount's source that is a symbolic link becomes the same link in the container.
// Source: man 1 crun, EXTENSIONS TO OCI.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/root_dir.h"
#include "base/unique_fd.h"
#include "rootfs/mount_plan.h"

namespace husk::rootfs {

// `fd` is of O_PATH and O_NOFOLLOW, or of open_tree.
Result<bool> is_link(const UniqueFd& fd);

// What the link `source`, as prepare has opened it, leads to; nullopt: an ordinary bind mount.
Result<std::optional<std::string>> link_to_copy(const MountOp& op, const UniqueFd& source);

// False: the same link is there already. It stays when the container is gone, as mount points do.
// Errors: exists (something else has the name).
Result<bool> make_link(const RootDir::Place& place, const std::string& target);

}  // namespace husk::rootfs
