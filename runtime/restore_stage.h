// Where CRIU finds the sources of a container's mounts: a tmpfs in a mount namespace of CRIU's own, with one entry a
// key. Each is a mount that has its attributes already, so that a read-only one is never writable; names are ours.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "criu/request.h"
#include "outside.h"
#include "rootfs/rootfs.h"

namespace husk::runtime {

inline constexpr const char* kStageDirectory = "restore";  // in the container's state directory

struct Source {
  std::string key;
  UniqueFd own;       // closed when it is one of HostHandles
  int borrowed = -1;
  int fd() const { return own.is_open() ? own.get() : borrowed; }
};
// All but the cgroup hierarchies, which depend on who asks. Nothing in it comes from the image but numbers.
Result<std::vector<Source>> open_sources(const rootfs::RootfsPlan& plan, const Outside& outside, const rootfs::HostHandles& handles);
// In a process that is in the container's cgroup.
Status add_hierarchies(const rootfs::RootfsPlan& plan, const Outside& outside, std::vector<Source>& sources);

// Enters a new mount namespace of ours; what CRIU gets by descriptor must be opened in it.
Status enter_private_mounts();
struct Staged {
  std::string directory;
  std::string root;     // where the rootfs is
  criu::Pairs sources;  // key → path
};
// Puts the root and the sources on a tmpfs at `directory`. `open_to_all`: for a container with a user namespace, as whose
// root CRIU looks them up; the tmpfs is then where the way to `directory` is closed to others.
Result<Staged> stage_mounts(const std::string& directory, bool open_to_all, const UniqueFd& root, const std::vector<Source>& sources);
// The images as everybody in this mount namespace may read them: CRIU opens most of them as the root of the container's
// user namespace. An overlay, whose upper directory says who may enter. Closed where that is not possible, and then the
// directory itself must do: for one with a "parent", which is found from where it is.
UniqueFd show_to_all(const UniqueFd& images, const Staged& staged);

// Makes what mounts and devices stand on in the rootfs, as create does; in a child that ends afterwards.
Status make_mount_points(const rootfs::RootfsPlan& plan);

}  // namespace husk::runtime
