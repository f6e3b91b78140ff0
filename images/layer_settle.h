// Settles what a layer needs of the layers below it, which are complete by now: attributes of implied
// directories, hard links to lower files, whiteouts of nothing, an opaque root; then directory times.
// This is what lets layers be unpacked side by side (containerd#13030).
#pragma once

#include "base/result.h"
#include "images/layer_apply.h"
#include "images/layer_tree.h"
#include "images/merged_view.h"

namespace husk::images {

// Adds to `usage` what it creates.
Status settle_layer(LayerTree& tree, const MergedView& lower, LayerUsage& usage);

// Sets owner, mode and attributes of a directory as `from` has them, without its time.
Status copy_directory_attributes(int directory, const Attributes& from);

}  // namespace husk::images
