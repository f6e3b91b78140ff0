// What a container has from outside of itself: mounts, masks, device nodes, cgroup hierarchies and stdio that CRIU can
// neither save nor make. CRIU knows each by a key that is made here from a number, never from a text of config.json
// or of the container (CVE-2026-115520, CVE-2026-119101, CVE-2026-119614). The image directory keeps the numbers, and
// where each mount was: that is compared with config.json's destinations and used for nothing else.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "criu/request.h"
#include "rootfs/rootfs.h"

namespace husk::runtime {

inline constexpr const char* kOutsideFile = "husk-checkpoint.json";

struct Outside {
  std::vector<std::size_t> mounts;              // of the mounts of the config.json at the checkpoint
  std::vector<std::string> destinations;        // parallel to mounts
  std::vector<std::size_t> sources;             // parallel to mounts: of those of the config.json at the restore
  std::vector<std::size_t> masks;               // of maskedPaths, covered by /dev/null
  std::vector<std::size_t> masked_directories;  // of maskedPaths, covered by an empty directory
  std::vector<std::size_t> devices;             // of the plan's devices
  std::vector<std::string> hierarchies;         // of cgroup v1, "memory"; "" = v2
  std::vector<std::string> page_files;          // of the image; CRIU waits for ever for what is cut off them
  std::vector<std::uint64_t> page_bytes;        // parallel to page_files
  std::string label;                            // of init, as --lsm-profile writes it; "" = none
  std::array<std::string, 3> stdio;             // CRIU's name of the file: "pipe:[123]"; "" = the container's own
};
std::string write_outside(const Outside& outside);
Result<Outside> parse_outside(std::string_view text);

// The files with the memory: their sizes after a checkpoint, and whether they have them still.
Status find_pages(const UniqueFd& images, Outside& outside);
Status check_pages(const UniqueFd& images, const Outside& outside);

// Fills `sources`: an engine that moves a container to another host or name writes its mounts in an order of its own.
// False when a mount is missing.
bool find_sources(Outside& outside, const rootfs::RootfsPlan& plan);

std::string mount_key(std::size_t index);
std::string mask_key(std::size_t index);
std::string device_key(std::size_t index);
std::string hierarchy_key(std::size_t index);  // in Outside::hierarchies

bool is_cgroup_mount(const rootfs::MountOp& op);

struct Seen {
  Outside outside;
  criu::Pairs mounts;                  // mount point → key
  std::vector<std::string> externals;  // CRIU's words for stdio that is no pipe
};
// Looks at a living container. Errors: unsupported, a mount point that CRIU would misread; wrong_state, mounts that the
// container has moved onto each other.
Result<Seen> look_outside(const rootfs::RootfsPlan& plan, pid_t init);

// After a restore, before its processes run: what was put in place from outside stands where config.json says, and is
// as closed as it says.
Status check_outside(const rootfs::RootfsPlan& plan, const Outside& outside, const rootfs::HostHandles& handles, pid_t init);
// CRIU gives file systems their mount label, but for those that have it as an attribute of the root directory.
Status label_restored_mounts(const rootfs::RootfsPlan& plan, pid_t init);

}  // namespace husk::runtime
