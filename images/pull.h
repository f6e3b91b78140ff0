// Pull: resolve → manifest (through an index) → config and layers, layers side by side, each in one
// pass from the socket to the unpacked directory (layer_sink.h) → one record.
// Concurrent pulls of one reference with equal credentials share one download.
#pragma once

#include <condition_variable>
#include <functional>
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

// The steps of one pull from one endpoint, in their order. A failure before `record` leaves no image, no layer
// and no blob; from `record` on the image is there.
enum class PullStep : std::uint8_t {
  resolve,  // 1 manifest, through an index
  config,   // 2 the image's configuration
  lease,    // 3 which layers are missing; what is there is kept from now on
  layers,   // 4 download and unpack, into our tmp directory
  publish,  // 5 settle, sync, final names, rows of layers and blobs
  record,   // 6 names, manifest and config in one transaction
};
// Called before each step; an error fails the pull there. For tests.
using PullCheckpoint = std::function<Status(PullStep)>;

class Puller {
 public:
  Puller(LayerStore& layers, ImageStore& images, const StoreOptions& options, PullCheckpoint checkpoint = nullptr)
      : layers_{&layers}, images_{&images}, options_{options}, checkpoint_{std::move(checkpoint)} {}

  // Returns the image id. Errors: invalid (reference, manifest), denied, not_found, unavailable,
  // timed_out, cancelled, exhausted.
  Result<std::string> pull(const std::string& reference, const PullOptions& options);

 private:
  struct Flight {
    bool done = false;
    std::optional<Result<std::string>> result;
  };
  Status reach(PullStep step) const { return checkpoint_ ? checkpoint_(step) : ok(); }
  Result<std::string> pull_once(const Reference& reference, const PullOptions& options);
  Result<std::string> pull_from(const Reference& reference, const PullOptions& options, const Endpoint& endpoint);

  LayerStore* layers_;
  ImageStore* images_;
  StoreOptions options_;
  PullCheckpoint checkpoint_;
  std::mutex mutex_;  // guards flights_ and what is in them
  std::condition_variable landed_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace husk::images
