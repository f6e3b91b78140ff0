// Containers' root file systems and read-only views of images: containers/<key>/{upper,work,rootfs}.
// Layers below stay alive through container_layers while the row exists. Thread-safe; two processes
// that work on one key wait for each other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "images/images.h"
#include "images/layer_store.h"

namespace husk::images {

class Containers {
 public:
  explicit Containers(const StoreParts& parts) : parts_{parts} {}

  // Who a read-write layer belongs to: the owner of containers asks for its keys, and removes those it
  // does not know; bundles are none of its business.
  enum class Use : std::uint8_t { container, bundle, view };
  Result<ContainerRootfs> prepare(const std::string& key, const std::string& image_id, Use use);
  Result<ContainerRootfs> mount(const std::string& key);
  Status release(const std::string& key);  // of both kinds; absence is success
  Result<std::vector<std::string>> keys(Use use);
  // Walks the read-write layer, at most kMaxWalk entries of it: beyond, the answer is a lower bound.
  Result<FsUsage> usage(const std::string& key);
  Result<std::string> mount_image(const std::string& image_id, const std::string& key);

  struct Record {
    std::string image;
    Use use = Use::container;
    std::vector<std::string> chains;  // bottom first
  };
  Result<std::optional<Record>> find(const std::string& key);
  Result<std::vector<std::pair<std::string, Record>>> views();

  // Host paths of the image's layers, top first, without the init layer.
  Result<std::vector<std::string>> layer_paths(const Record& record) const;

  // Directories without a row, after a crash: unmounted and removed.
  Status sweep();

 private:
  // False: the row was there already, for the same image and use.
  Result<bool> create(const std::string& key, const std::string& image_id, Use use);
  Result<ContainerRootfs> attach(const std::string& key, const Record& record);
  Result<std::string> init_layer(const std::string& key, const Record& record);
  Status make_upper(const std::string& directory, const std::vector<std::string>& lower);
  StoreParts parts_;
};

}  // namespace husk::images
