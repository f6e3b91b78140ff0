// Overlay mounts of image layers, made detached (fsopen, fsmount) so that nothing appears on the host
// until attach(). Used by images/ for snapshots. Read mount_overlay_detached first.
// Source: kernel Documentation/filesystems/overlayfs.rst; man 2 fsopen, open_tree, move_mount.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::rootfs {

inline constexpr std::size_t kMaxOverlayLayers = 500;  // OVL_MAX_STACK of the kernel

struct OverlayLayers {
  std::vector<std::string> lower;  // host directories, top first
  std::string upper;               // "" = no writable layer
  std::string work;                // beside upper, on the same file system
  bool read_only = false;
};

// Returns the root of a mount that is attached nowhere and that goes away with the descriptor.
// Without an upper the result is read-only; one lower alone becomes a bind mount of it.
// Paths may hold any byte but NUL. Errors: invalid (layers), not_found, unsupported (file systems).
Result<UniqueFd> mount_overlay_detached(const OverlayLayers& layers);

// Attaches a detached mount on an existing host directory; the last component is not followed.
Status attach(const UniqueFd& mount, const std::string& target);
// Detaches what is mounted on top of `target`. Nothing mounted there is success, and so is absence.
Status detach(const std::string& target);
Result<bool> is_mount_point(const std::string& path);  // absent path: false

// The two ways to name the layers; mount_overlay_detached picks by kernel::has_overlay_lowerdir_append.
// One fsconfig a layer, kernel 6.7.
Result<UniqueFd> mount_overlay_by_layer(const OverlayLayers& layers);
// until kernel 6.7: all in one text of at most a page, through a thread with its own mount namespace.
Result<UniqueFd> mount_overlay_by_text(const OverlayLayers& layers);

}  // namespace husk::rootfs
