// Pull: resolve → manifest (through an index) → config and layers, layers side by side, each in one
// pass from the socket to the unpacked directory (layer_sink.h) → one record.
// Concurrent pulls of one reference with equal credentials share one download.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "images/image_store.h"
#include "images/images.h"
#include "images/layer_sink.h"
#include "images/reference.h"
#include "images/registry/registries_conf.h"

namespace husk::images {

class Puller {
 public:
  Puller(LayerStore& layers, ImageStore& images, const StoreOptions& options)
      : layers_{&layers}, images_{&images}, options_{options} {}

  // Returns the image id. Errors: invalid (reference, manifest), denied, not_found, unavailable,
  // timed_out, cancelled, exhausted.
  Result<std::string> pull(const std::string& reference, const PullOptions& options);

 private:
  struct Flight {
    bool done = false;
    std::optional<Result<std::string>> result;
  };
  Result<std::string> pull_once(const Reference& reference, const PullOptions& options);
  Result<std::string> pull_from(const Reference& reference, const PullOptions& options, const Endpoint& endpoint);

  LayerStore* layers_;
  ImageStore* images_;
  StoreOptions options_;
  std::mutex mutex_;  // guards flights_ and what is in them
  std::condition_variable landed_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace husk::images
