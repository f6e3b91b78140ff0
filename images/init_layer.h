// The init layer: the top-most read-only layer of every container. It holds the places on which the
// runtime mounts (/etc/hosts, /dev/console, /proc …), so that they need not be made in the read-write
// layer, commits stay clean, and a symlink of the image cannot redirect a bind mount. It depends on
// the image's layers only and is shared by all containers of an image.
// Source: moby, daemon/initlayer.
#pragma once

#include <string>

#include "base/result.h"
#include "images/merged_view.h"

namespace husk::images {

// Fills the empty directory `directory`; `lower` are the image's layers.
Status make_init_layer(const std::string& directory, const MergedView& lower);

}  // namespace husk::images
