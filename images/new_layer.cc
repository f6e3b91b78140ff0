#include "images/new_layer.h"

#include "base/format.h"
#include "base/text.h"
#include "images/config_edit.h"
#include "images/sha256.h"
#include "oci-spec/parse_image.h"

namespace husk::images {

Result<BaseImage> load_base(const ImageStore& images, const std::string& image_id) {
  BaseImage base{.config = TRY(images.config_text(image_id))};
  const auto manifest_text = TRY(images.manifest_text(image_id));
  const auto manifest = TRY(oci::parse_manifest(manifest_text));
  const auto config = TRY(oci::parse_image_config(base.config));
  TRY(oci::check_image_pair(manifest, config));
  base.layers = manifest.layers;
  base.docker = manifest.media_type == oci::media_type::kDockerManifest;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i)
    base.sources.push_back({.digest = manifest.layers[i].digest.text(),
                            .diff_id = config.diff_ids[i].text(),
                            .media_type = manifest.layers[i].media_type,
                            .size = manifest.layers[i].size});
  return base;
}

Result<std::string> make_manifest(const std::string& config, const std::vector<oci::Descriptor>& layers, bool docker) {
  const auto digest_text = TRY(sha256_of(config));
  const auto digest = TRY(oci::Digest::parse(digest_text));
  const auto type = docker ? oci::media_type::kDockerManifest : oci::media_type::kManifest;
  const auto config_type = docker ? oci::media_type::kDockerConfig : oci::media_type::kConfig;
  oci::Manifest manifest{.media_type = std::string{type},
                         .config = {.media_type = std::string{config_type}, .digest = digest, .size = config.size()},
                         .layers = layers};
  return oci::write_manifest(manifest);
}

LayerFeed directory_feed(const std::string& directory, const LayerWriteOptions& options) {
  return [directory, options](LayerSink& sink) -> Result<bool> {
    GzipWriter gzip{[&](std::string_view bytes) { return sink.write(bytes); }};
    TarWriter tar{[&](std::string_view bytes) { return gzip.write(bytes); }};
    const auto entries = TRY(write_layer(directory, options, tar));
    if (entries == 0) return false;
    TRY(tar.finish());
    TRY(gzip.finish());
    return true;
  };
}

Result<std::string> record_with_layer(LayerStore& layers, ImageStore& images, const BaseImage& base,
                                      const LayerFeed& feed, const ImageChange& change) {
  auto sources = base.sources;
  sources.emplace_back();
  auto batch = TRY(layers.begin(sources));
  // A layer below may be missing only if the store was damaged: then its blob is unpacked again.
  for (std::size_t i = 0; i + 1 < sources.size(); ++i) {
    if (batch->state(i) == LayerState::missing)
      return Error{Kind::wrong_state, format_text("layer {} of the image is not in the store", sources[i].digest)}.hint(
          "pull or import the image again");
    if (batch->state(i) == LayerState::blob_only) TRY(batch->unpack_blob(i));
  }
  auto sink = TRY(batch->start(sources.size() - 1));
  const bool has_layer = TRY(feed(*sink));
  auto descriptors = base.layers;
  std::string diff_id;
  std::unique_ptr<LayerBatch> lease = std::move(batch);
  if (has_layer) {
    TRY(sink->finish());
    const auto results = TRY(lease->commit());
    const auto& top = results.back();
    diff_id = top.diff_id;
    const auto digest = TRY(oci::Digest::parse(top.digest));
    const bool docker_type = base.docker && top.media_type == oci::media_type::kLayerGzip;
    descriptors.push_back({.media_type = docker_type ? std::string{oci::media_type::kDockerLayerGzip} : top.media_type,
                           .digest = digest,
                           .size = top.size});
  }
  sink.reset();
  const auto epoch = TRY(source_date_epoch());
  const HistoryEntry history{.created_by = change.created_by, .author = change.author, .comment = change.comment};
  NewImage image;
  image.config = TRY(edit_config(base.config, change.changes, diff_id, created_text(epoch), history));
  image.manifest = TRY(make_manifest(image.config, descriptors, base.docker));
  if (!change.tag.empty()) image.tags.push_back(change.tag);
  return images.record(image);
}

}  // namespace husk::images
