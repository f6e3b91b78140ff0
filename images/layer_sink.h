// Unpacking an image's layers while their bytes arrive: one pass from the compressed stream to the
// blob, the digest, the diffID and the overlay directory. Layers of one batch may be fed at the same
// time from several threads, in any order; what a layer needs of the layers below (hard links to
// their files, attributes of implied parents) is settled in commit(), bottom to top.
//
//   auto batch = TRY(layers.begin(sources));          // bottom layer first
//   for each i with batch->state(i) != ready:         // any thread
//     auto sink = TRY(batch->start(i));
//     TRY(sink->write(bytes))…; TRY(sink->finish());
//   const auto results = TRY(batch->commit());        // synced, renamed, rows written
//   const auto id = TRY(images.record({…}));          // image_store.h; keep `batch` alive until here
//
// A batch is also the lease: what it found or made is safe from garbage collection, of this and of
// other processes, while it lives. Destroyed: what no image refers to is removed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "images/unpack_limits.h"

namespace husk::images {

struct LayerSource {
  std::string digest;       // of the compressed bytes; "" = not known, will be computed
  std::string diff_id;      // of the tar; "" = not known (import of a bare tar), only in the top layer
  std::string media_type;   // "" = any. The compression is told by magic; types that are no layer are errors
  std::uint64_t size = 0;   // of the compressed bytes; used when digest is set
};

struct LayerResult {
  std::string digest;
  std::string diff_id;
  std::string chain_id;
  std::string media_type;  // OCI type by the compression that was found
  std::uint64_t size = 0;
};

enum class LayerState : std::uint8_t {
  missing,    // start() and feed it
  blob_only,  // the blob is here: unpack_blob(), no download needed
  ready,      // unpacked already
};

class LayerSink {
 public:
  virtual ~LayerSink() = default;  // without finish(): what was unpacked is dropped
  virtual Status write(std::string_view compressed_bytes) = 0;
  virtual Status finish() = 0;     // digest, size, diffID, end of the tar are checked here
};

class LayerBatch {
 public:
  virtual ~LayerBatch() = default;
  virtual std::size_t size() const = 0;
  virtual LayerState state(std::size_t index) const = 0;
  // Thread-safe. A failed sink is destroyed and start() may be called again (a retry from byte 0).
  virtual Result<std::unique_ptr<LayerSink>> start(std::size_t index) = 0;
  virtual Status unpack_blob(std::size_t index) = 0;  // thread-safe
  virtual Result<std::vector<LayerResult>> commit() = 0;
};

class LayerStore {
 public:
  virtual ~LayerStore() = default;
  virtual Result<std::unique_ptr<LayerBatch>> begin(std::vector<LayerSource> sources) = 0;
};

}  // namespace husk::images
