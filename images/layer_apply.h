// Writes one layer's tar into an overlay layer directory: whiteouts become 0/0 devices, opaque
// markers trusted.overlay.opaque, whatever the order of the entries. Needs nothing of the layers
// below; what does is noted in the LayerTree and settled later (layer_settle.h).
// Source: image-spec layer.md "Applying Changesets".
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/layer_tree.h"
#include "images/tar_reader.h"
#include "images/unpack_limits.h"

namespace husk::images {

struct LayerUsage {
  std::uint64_t bytes = 0;  // file data and directories, in blocks of 4 KiB
  std::uint64_t inodes = 0;
};

class LayerApply final : public TarHandler {
 public:
  LayerApply(LayerTree& tree, const UnpackLimits& limits) : tree_{&tree}, limits_{limits} {}
  Status entry(const TarEntry& entry) override;
  Status data(std::string_view bytes) override;
  Status end_of_entry() override;
  const LayerUsage& usage() const { return usage_; }
  std::uint64_t dropped_xattrs() const { return dropped_xattrs_; }

 private:
  Status apply(const TarEntry& entry);
  Status apply_root(const TarEntry& entry);
  Status apply_whiteout(const LayerTree::Directory& parent, const std::string& name);
  Status make_file(const LayerTree::Directory& parent, const std::string& name);
  Status make_directory(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry);
  Status make_symlink(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry);
  Status make_node(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry);
  Status make_hard_link(const Components& parents, const std::string& name, const TarEntry& entry);
  Status set_directory_attributes(int fd, const std::string& path, const TarEntry& entry);
  Status set_xattr(int fd, const std::string& name, const std::string& value);
  Status set_xattrs(int fd, const TarEntry& entry);
  void count(std::uint64_t data_bytes);

  LayerTree* tree_;
  UnpackLimits limits_;
  LayerUsage usage_;
  std::uint64_t dropped_xattrs_ = 0;
  UniqueFd file_;    // the file whose data comes; closed: data is not wanted
  TarEntry current_;
};

}  // namespace husk::images
