// RootDir: the only way to touch paths inside a rootfs. The kernel does the walk (openat2 with
// RESOLVE_IN_ROOT), so that no symlink of an image leads outside.
// Source: man 2 openat2; CVE-2018-15664, CVE-2019-18837, CVE-2021-30465, CVE-2024-45310.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/sys.h"
#include "base/unique_fd.h"

namespace husk {

class RootDir {
 public:
  static Result<RootDir> open(const std::string& path);      // a host path, symlinks followed
  static Result<RootDir> adopt(UniqueFd directory);          // O_PATH or O_RDONLY directory fd

  int fd() const { return fd_.get(); }
  Result<RootDir> duplicate() const;

  // Returns an O_PATH fd for `path` as seen inside; an absolute path stays inside too. `flags` are
  // added (O_NOFOLLOW, O_DIRECTORY). Errors: not_found, busy (the path kept changing).
  Result<UniqueFd> open_path(const std::string& path, int flags = 0) const;
  Result<std::optional<UniqueFd>> find_path(const std::string& path) const;  // nullopt: nothing there
  // The same, but a symbolic link anywhere on the way is an error (ELOOP).
  Result<UniqueFd> open_plain(const std::string& path, int flags = 0) const;
  // Opens for reading or writing; never blocks on a FIFO and never opens a device: anything that is
  // not a regular file (none of procfs, tracefs and debugfs: /proc/kmsg waits) or directory is Kind::invalid.
  Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode = 0) const;
  // Whole text of a regular file of at most `max_bytes`.
  Result<std::string> read_file(const std::string& path, std::size_t max_bytes) const;

  // Creates missing directories on the way, one component at a time, each opened inside the root.
  // Symlinks are followed inside; where one leads nowhere, its target is made (image with /var/run →
  // /run but no /run). Returns an O_PATH fd of the last one.
  Result<UniqueFd> make_directories(const std::string& path, mode_t mode = 0755) const;
  struct Place {
    UniqueFd parent;   // O_PATH fd of the directory
    std::string name;  // last component: no slash, not "." or ".."
  };
  // Where the last component of `path` would be created; parents are made when `create` is set.
  Result<Place> open_parent(const std::string& path, bool create = false) const;

 private:
  explicit RootDir(UniqueFd fd) : fd_{std::move(fd)} {}
  UniqueFd fd_;
};

}  // namespace husk
