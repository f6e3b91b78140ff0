#include "images/layer_unpack.h"

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/store_dir.h"

namespace husk::images {
namespace {

constexpr std::size_t kMagicBytes = 6;

}  // namespace

UnpackedLayer::~UnpackedLayer() {
  tree.reset();
  if (!directory.empty()) (void)remove_tree(AT_FDCWD, directory);  // what stays is swept with tmp/
}

LayerUnpack::LayerUnpack(LayerSource source, const UnpackLimits& limits, Sha256 compressed, Sha256 plain)
    : source_{std::move(source)},
      limits_{limits},
      layer_{std::make_unique<UnpackedLayer>()},
      compressed_hash_{std::move(compressed)},
      plain_hash_{std::move(plain)} {}

Result<std::unique_ptr<LayerUnpack>> LayerUnpack::create(const StoreDir& dir, LayerSource source,
                                                         const UnpackLimits& limits, std::optional<BlobWriter> blob) {
  if (!source.media_type.empty()) TRY(check_layer_type(source.media_type));
  auto compressed = TRY(Sha256::create());
  auto plain = TRY(Sha256::create());
  std::unique_ptr<LayerUnpack> made{new LayerUnpack{std::move(source), limits, std::move(compressed), std::move(plain)}};
  auto& layer = *made->layer_;
  layer.directory = dir.temporary_path("layer");
  if (blob.has_value()) layer.blob.emplace(std::move(*blob));
  TRY(make_directories(layer.directory + "/fs", 0700));
  auto root = TRY(sys::openat(AT_FDCWD, layer.directory + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(sys::fchmod(root.get(), 0755));  // of the image's root when no layer has an entry for it
  layer.tree.emplace(std::move(root), made->limits_.max_note_bytes);
  made->apply_ = std::make_unique<LayerApply>(*layer.tree, made->limits_);
  made->reader_ = std::make_unique<TarReader>(*made->apply_, made->limits_);
  return made;
}

Status LayerUnpack::begin_stream() {
  compression_ = TRY(detect_compression(head_));
  decompressor_ = TRY(make_decompressor(compression_));
  const auto head = std::move(head_);
  return decompressor_->push(head, [this](std::string_view bytes) { return decompressed(bytes); });
}

Status LayerUnpack::write(std::string_view bytes) {
  compressed_bytes_ += bytes.size();
  if (layer_->blob.has_value()) TRY(layer_->blob->write(bytes));
  else TRY(compressed_hash_.update(bytes));
  if (decompressor_ != nullptr)
    return decompressor_->push(bytes, [this](std::string_view plain) { return decompressed(plain); });
  head_.append(bytes);
  return head_.size() < kMagicBytes ? ok() : begin_stream();
}

Status LayerUnpack::decompressed(std::string_view bytes) {
  plain_bytes_ += bytes.size();
  if (plain_bytes_ > limits_.max_bytes)
    return Error{Kind::exhausted, format_text("the layer is larger than {} bytes unpacked", limits_.max_bytes)};
  if (plain_bytes_ > limits_.ratio_free_bytes && plain_bytes_ / limits_.max_ratio > compressed_bytes_)
    return Error{Kind::exhausted, format_text("the layer unpacks to more than {} times its size", limits_.max_ratio)}
        .hint("this looks like a decompression bomb");
  TRY(plain_hash_.update(bytes));
  return reader_->push(bytes);
}

Result<std::unique_ptr<UnpackedLayer>> LayerUnpack::finish() {
  if (decompressor_ == nullptr) TRY(begin_stream());
  // The digest comes first: a stream cut short or damaged fails here, with the better reason.
  auto& result = layer_->result;
  result.size = compressed_bytes_;
  if (layer_->blob.has_value()) result.digest = TRY(layer_->blob->finish());
  else result.digest = TRY(compressed_hash_.finish());
  if (!source_.digest.empty() && result.digest != source_.digest)
    return Error{Kind::invalid, format_text("the layer's digest is {}, expected {}", result.digest, source_.digest)};
  TRY(decompressor_->finish());
  TRY(reader_->finish());
  result.diff_id = TRY(plain_hash_.finish());
  if (!source_.diff_id.empty() && result.diff_id != source_.diff_id)
    return Error{Kind::invalid, format_text("the layer's diffID is {}, the image's config says {}", result.diff_id,
                                            source_.diff_id)}
        .hint("the image is broken: its config does not belong to its layers");
  result.media_type = media_type_of(compression_);
  layer_->usage = apply_->usage();
  return std::move(layer_);
}

}  // namespace husk::images
