// One layer on its way: compressed bytes in; blob, digest, diffID and overlay directory out, in one
// pass. The directory is complete but for what the layers below settle.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "images/content_store.h"
#include "images/decompress.h"
#include "images/layer_apply.h"
#include "images/layer_sink.h"
#include "images/layer_tree.h"
#include "images/sha256.h"
#include "images/tar_reader.h"

namespace husk::images {

// What is left when all bytes are in. `directory` (in tmp/) holds "fs"; removed with the object.
struct UnpackedLayer {
  UnpackedLayer() = default;
  UnpackedLayer(const UnpackedLayer&) = delete;
  UnpackedLayer& operator=(const UnpackedLayer&) = delete;
  ~UnpackedLayer();

  std::string directory;              // "" once it was moved into the store
  std::optional<BlobWriter> blob;     // absent: it came from the store
  std::optional<LayerTree> tree;
  LayerUsage usage;
  LayerResult result;                 // chain_id is not known here
};

class LayerUnpack {
 public:
  // `blob`: where the compressed bytes are kept as well; absent when they come from there.
  static Result<std::unique_ptr<LayerUnpack>> create(const StoreDir& dir, LayerSource source, const UnpackLimits& limits,
                                                     std::optional<BlobWriter> blob);
  Status write(std::string_view compressed_bytes);
  Result<std::unique_ptr<UnpackedLayer>> finish();

 private:
  LayerUnpack(LayerSource source, const UnpackLimits& limits, Sha256 compressed, Sha256 plain);
  Status begin_stream();
  Status decompressed(std::string_view bytes);

  LayerSource source_;
  UnpackLimits limits_;
  std::unique_ptr<UnpackedLayer> layer_;
  Sha256 compressed_hash_;  // used when there is no blob writer, which hashes itself
  Sha256 plain_hash_;
  std::string head_;        // first bytes, until the compression is known
  Compression compression_ = Compression::none;
  std::unique_ptr<Decompressor> decompressor_;
  std::unique_ptr<LayerApply> apply_;
  std::unique_ptr<TarReader> reader_;
  std::uint64_t compressed_bytes_ = 0;
  std::uint64_t plain_bytes_ = 0;
};

}  // namespace husk::images
