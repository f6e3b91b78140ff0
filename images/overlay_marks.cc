#include "images/overlay_marks.h"

#include <errno.h>

#include <algorithm>

#include "base/sys.h"

namespace husk::images {

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

Status make_whiteout(int parent, const std::string& name) { return sys::mknodat(parent, name, S_IFCHR, 0); }

Status mark_opaque(int directory) {
  return sys::fsetxattr(directory, kOpaqueXattr, "y").hint("the store needs root and a file system with trusted.* attributes");
}

Result<bool> is_opaque(int directory) {
  const auto value = sys::fgetxattr(directory, kOpaqueXattr);
  if (value.has_value()) return value.value() == "y";
  const int err = value.error().os_errno();
  if (err == ENODATA || err == EOPNOTSUPP) return false;
  return value.error();
}

bool may_pass_xattr(std::string_view name) {
  if (name.starts_with("trusted.") || name.starts_with("user.overlay.")) return false;
  if (name == "security.selinux" || name == "security.evm") return false;
  // NFSv4 ACLs are views of the server's, not attributes that can be restored elsewhere.
  return !name.starts_with("system.") || name.starts_with("system.posix_acl_");
}

namespace {

template <class List, class Get>
Result<Xattrs> collect(List&& list, Get&& get) {
  Xattrs found;
  const auto names = list();
  if (!names.has_value()) {
    if (names.error().os_errno() == EOPNOTSUPP) return found;
    return names.error();
  }
  for (const auto& name : names.value()) {
    if (!may_pass_xattr(name)) continue;
    auto value = TRY(get(name));
    found.emplace_back(name, std::move(value));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<Xattrs> read_xattrs(int fd) {
  return collect([&] { return sys::flistxattr(fd); }, [&](const std::string& name) { return sys::fgetxattr(fd, name); });
}

Result<Xattrs> read_xattrs_of(const std::string& path) {
  return collect([&] { return sys::llistxattr(path); },
                 [&](const std::string& name) { return sys::lgetxattr(path, name); });
}

}  // namespace husk::images
