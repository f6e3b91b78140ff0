// Where a mount of the container goes: found inside the new root, opened once, made when missing. The
// mount is moved onto what was opened, so a name that changes afterwards changes nothing.
// Source: CVE-2021-30465 (exchange between mkdir and mount), CVE-2024-45310 (mkdir outside the root).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"
#include "base/unique_fd.h"

namespace husk::rootfs {

// A tmpfs that apply made. Nobody else can reach it, so a name made in it is still what was made.
struct OwnTmpfs {
  std::string path;  // clean, inside
  UniqueFd mount;
  bool read_only_later = false;  // mount points and devices are made in it first
};

// A procfs or sysfs that apply mounted. What is in it keeps its name; the way to it is the image's, and may lead
// elsewhere a moment later, so that a mask would miss (CVE-2019-19921).
struct KernelTree {
  std::string path;  // clean, inside
  RootDir tree;
};

// The new root while apply works on it.
struct Ground {
  const RootDir& root;
  std::vector<OwnTmpfs> own;
  std::vector<KernelTree> kernel;

  const OwnTmpfs* find_own(const std::string& path) const;
  void forget_own(const std::string& path);  // something was mounted there, or above
  // O_PATH, as RootDir::find_path; by the mount itself where that is one of `kernel`.
  Result<std::optional<UniqueFd>> find_path(const std::string& path) const;
};

struct MountPoint {
  UniqueFd fd;           // O_PATH fd of the place, or of its parent when `name` is set; closed for own
  int own_fd = -1;       // borrowed: the parent is a tmpfs of ours
  std::string name;      // a name made by us in the parent
  bool existed = false;  // `fd` is the place itself
  int dirfd() const { return fd.is_open() ? fd.get() : own_fd; }
};

struct Wanted {
  int like_fd = -1;    // >= 0: the kind of thing to make when nothing is there is that of this fd
  bool plain = false;  // an ordinary directory, no symbolic link on the way: procfs and sysfs
  bool nofollow = false;  // a symbolic link at the end is the place itself; those on the way are followed, inside
};
// Errors: invalid (a link where none may be, a place inside /proc), those of mkdirat and mknodat.
// Source: CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867 for `plain`.
Result<MountPoint> open_mount_point(const Ground& ground, const std::string& path, const Wanted& wanted);

// What is to be remounted. Errors: invalid (a link of the image that leads to procfs, sysfs or cgroups, whose
// restrictions it would lift).
Result<UniqueFd> open_to_remount(const Ground& ground, const std::string& path);

// Moves a detached mount there.
Status attach_at(const UniqueFd& mount, const MountPoint& place);

}  // namespace husk::rootfs
