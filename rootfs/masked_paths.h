// maskedPaths and readonlyPaths. Paths that do not exist are left out: kernels differ in what they have.
// Source: runtime-spec config-linux.md#masked-paths, #readonly-paths.
#pragma once

#include <functional>

#include "base/result.h"
#include "rootfs/mount_point.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {

// Chooses from what is left of the plan's lists.
using WhichPaths = std::function<bool(const std::string& path)>;

// One mount, attached many times: the first time itself, then clones of it. Cloning it before it is
// attached would need kernel 6.15.
class Cover {
 public:
  using Open = Result<UniqueFd> (*)(const std::string& label);
  Cover(Open open, const std::string& label) : open_{open}, label_{label} {}
  Status put_on(const UniqueFd& place);

 private:
  Open open_;
  const std::string& label_;
  UniqueFd attached_;
};

class PathCovers {
 public:
  PathCovers(const RootfsPlan& plan, const Ground& ground);
  // Masked paths: directories are covered by one shared, empty, read-only tmpfs, files by the host's /dev/null, which
  // is checked to be character device 1:3 and never looked up in the container (CVE-2025-31133). Then read-only ones,
  // each covered with a clone of itself and all mounts below.
  Status put(const WhichPaths& which);

 private:
  const Ground& ground_;
  std::vector<std::string> masked_;    // left to do
  std::vector<std::string> readonly_;
  Cover directories_;
  Cover files_;
};
// One such cover, detached.
Result<UniqueFd> open_mask(bool directory, const std::string& mount_label);

}  // namespace husk::rootfs
