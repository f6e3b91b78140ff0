// The "User" of an image config against the image's own /etc/passwd and /etc/group, read through a
// RootDir and never through the host's name service.
// Source: image-spec config.md "User"; CVE-2024-40635 (range), CVE-2026-46680 (a number is never a
// name), CVE-2024-9676 (passwd as a FIFO or an endless file), CVE-2019-14271 (NSS in a container).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"

namespace husk::images {

struct ImageUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> additional_gids;  // groups that list the user's name
  std::string home = "/";
};

// "", "user", "uid", "user:group", "uid:gid" and mixed forms. Errors: invalid, not_found (a name that
// the image does not have).
Result<ImageUser> resolve_user(const RootDir& root, const std::string& user);

}  // namespace husk::images
