// How an overlay layer says "removed" and "hides what is below", and which extended attributes may
// pass between images and layers. Source: kernel Documentation/filesystems/overlayfs.rst.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace husk::images {

inline constexpr const char* kOpaqueXattr = "trusted.overlay.opaque";
inline constexpr const char* kCapabilityXattr = "security.capability";
inline constexpr const char* kDefaultAclXattr = "system.posix_acl_default";

bool is_whiteout(const struct stat& info);  // character device 0/0
Status make_whiteout(int parent, const std::string& name);
Status mark_opaque(int directory);
Result<bool> is_opaque(int directory);

// False: the attribute is dropped when a layer is unpacked or written. trusted.* would be read by
// overlayfs itself or by tools of the host, user.overlay.* by mounts with userxattr; SELinux and EVM
// values belong to a host.
bool may_pass_xattr(std::string_view name);

using Xattrs = std::vector<std::pair<std::string, std::string>>;
// The attributes that may pass, sorted by name.
Result<Xattrs> read_xattrs(int fd);
Result<Xattrs> read_xattrs_of(const std::string& path);  // never follows a symlink

}  // namespace husk::images
