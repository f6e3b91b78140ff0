// Turns a layer's byte stream into the tar inside: gzip (ISA-L), zstd, or as it is, told by the
// first bytes. Pushed, so that it needs no thread of its own.
// Source: RFC 1952 (members may follow one another), RFC 8878 (frames, skippable frames).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci-spec/image_spec.h"

namespace husk::images {

using oci::Compression;

// By magic number, from the first 6 bytes or fewer when the stream is shorter. Compressions that we
// know and refuse (xz, bzip2) are errors of kind unsupported.
Result<Compression> detect_compression(std::string_view first_bytes);
// Error when no layer of that type can be unpacked. What it says about the compression is not used:
// the digest binds the bytes, the diffID the tar, and mislabelled layers exist.
Status check_layer_type(const std::string& media_type);
std::string media_type_of(Compression compression);  // the OCI layer type

using ByteSink = std::function<Status(std::string_view)>;

class Decompressor {
 public:
  virtual ~Decompressor() = default;
  // Calls `out` with what came out, in blocks. Errors name the offset in the compressed stream.
  virtual Status push(std::string_view bytes, const ByteSink& out) = 0;
  virtual Status finish() = 0;  // error when the stream is cut short
};
Result<std::unique_ptr<Decompressor>> make_decompressor(Compression compression);

// A gzip writer with a fixed header (no name, mtime 0, unknown OS), so that equal tars give equal
// blobs.
class GzipWriter {
 public:
  explicit GzipWriter(ByteSink out);
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  Status write(std::string_view bytes);
  Status finish();

 private:
  struct State;
  Status deflate(std::string_view bytes, bool last);
  std::unique_ptr<State> state_;
};

}  // namespace husk::images
