// A directory becomes the top layer of an image: written as tar, compressed, and unpacked again
// through the same sink a pull uses, so that what is stored is what any other machine will see.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "images/image_store.h"
#include "images/layer_sink.h"
#include "images/layer_write.h"
#include "images/tools.h"
#include "oci-spec/image_spec.h"

namespace husk::images {

struct NewLayer {
  std::string directory;
  LayerWriteOptions write;
};

// The image to put it on. Empty for an image of one layer.
struct BaseImage {
  std::string config;                // text; empty_config() for none
  std::vector<oci::Descriptor> layers;
  std::vector<LayerSource> sources;  // the same layers, with their diffIDs
  bool docker = false;               // media types of Docker schema 2
};
Result<BaseImage> load_base(const ImageStore& images, const std::string& image_id);

struct ImageChange {
  ConfigChanges changes;
  std::string created_by;
  std::string author;
  std::string comment;
  std::string tag;  // normalised; "" = none
};

// Feeds `sink` with compressed layer bytes; returns whether there is a layer at all.
using LayerFeed = std::function<Result<bool>(LayerSink&)>;

// Base, one more layer, changes → a recorded image. Returns its id.
Result<std::string> record_with_layer(LayerStore& layers, ImageStore& images, const BaseImage& base,
                                      const LayerFeed& feed, const ImageChange& change);

// The feed of a directory: tar, gzip.
LayerFeed directory_feed(const std::string& directory, const LayerWriteOptions& options);

// A manifest text over a config text.
Result<std::string> make_manifest(const std::string& config, const std::vector<oci::Descriptor>& layers, bool docker);

}  // namespace husk::images
