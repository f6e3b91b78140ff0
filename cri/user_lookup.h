// Who a container runs as: the request, the image's USER, and the image's own passwd and group files
// (never the host's, never NSS). Numbers are strict. Source: cri-api, LinuxContainerSecurityContext; CVE-2024-40635,
// CVE-2026-30892 (numbers that wrapped or ended early), CVE-2022-36109 (groups without the own one).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"
#include "cri/model.h"
#include "cri/records.h"

namespace husk::cri {

struct UserFiles {  // texts; "" = the image has none
  std::string passwd;
  std::string group;
};
// Absence of a file is not an error; a file that is not regular, or too big, is.
Result<UserFiles> read_user_files(const RootDir& rootfs);

struct ResolvedUser {
  ContainerUser ids;
  std::string home = "/";
};
Result<ResolvedUser> find_user(const ContainerConfig& config, const std::string& image_user, const UserFiles& files);

}  // namespace husk::cri
