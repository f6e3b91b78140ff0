// Images from files: an OCI layout (directory or tar), a docker-archive tar, a plain root file system
// tar, or a directory tree. Told by what is inside. Source: image-spec image-layout.md.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/decompress.h"
#include "images/image_store.h"
#include "images/layer_store.h"
#include "images/tools.h"

namespace husk::images {

class Importer {
 public:
  Importer(const StoreParts& parts, LayerStore& layers, ImageStore& images)
      : parts_{parts}, layers_{&layers}, images_{&images} {}
  // `name`: the tag of the new image; also chooses among several images of an archive. Changes apply
  // to plain trees and tars; an image that brings its own configuration with changes gets a new one.
  Result<std::string> run(const std::string& path, const std::string& name, const ConfigChanges& changes);

 private:
  Result<std::string> from_file(const std::string& path, const std::string& tag, const ConfigChanges& changes);
  Result<UniqueFd> decompressed(int file, Compression compression);  // into a file without a name
  StoreParts parts_;
  LayerStore* layers_;
  ImageStore* images_;
};

// One image of an archive, ready to be fed: member names of its layers beside their sources.
struct ArchiveImage {
  std::string manifest;  // text; for docker-archive one that we made
  std::string config;
  std::vector<LayerSource> sources;
  std::vector<std::string> members;
};
class Archive;
Result<ArchiveImage> read_oci_layout(const Archive& archive, const std::string& tag);
Result<ArchiveImage> read_docker_archive(const Archive& archive, const std::string& tag);

bool is_oci_layout(const Archive& archive);
bool is_docker_archive(const Archive& archive);

}  // namespace husk::images
