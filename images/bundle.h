// OCI bundles of images: DIR/rootfs (the container's overlay, bound there), config.json, and the files
// hosts, hostname, resolv.conf. DIR/husk-bundle.json says what it belongs to.
#pragma once

#include <string>

#include "base/result.h"
#include "images/bundle_spec.h"
#include "images/tools.h"

namespace husk::images {

struct BundleOptions {
  std::string image;      // reference
  std::string directory;  // made when absent; must be empty
  std::optional<std::string> user;  // instead of the image's
  BundleRequest request;
};

struct Bundle {
  std::string directory;  // absolute
  std::string key;        // of the container in the store
  std::string image_id;
};

Result<Bundle> create_bundle(ImageTools& images, const BundleOptions& options);
Result<Bundle> open_bundle(const std::string& directory);
// Unmounts, releases the read-write layer, removes what create_bundle made. DIR itself goes when it is
// empty then.
Status remove_bundle(ImageTools& images, const Bundle& bundle);
// The read-write layer becomes a layer on the image; mount targets of config.json stay out.
Result<std::string> commit_bundle(ImageTools& images, const Bundle& bundle, const std::string& name, CommitOptions options);

}  // namespace husk::images
