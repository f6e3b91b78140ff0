#include "images/import.h"

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/archive.h"
#include "images/config_edit.h"
#include "images/decompress.h"
#include "images/new_layer.h"
#include "images/reference.h"
#include "oci-spec/parse_image.h"

namespace husk::images {
namespace {

Result<std::string> normalised_tag(const std::string& name) {
  const auto reference = TRY(parse_reference(name));
  if (!reference.digest.empty())
    return Error{Kind::invalid, format_text("{} names a digest", quote(name))}.hint("an import gets a tag: NAME[:TAG]");
  return reference.tagged();
}

bool is_empty(const ConfigChanges& changes) {
  return !changes.cmd.has_value() && !changes.entrypoint.has_value() && changes.env.empty() &&
         !changes.working_dir.has_value() && !changes.user.has_value() && !changes.stop_signal.has_value() &&
         changes.exposed_ports.empty() && changes.volumes.empty() && changes.labels.empty();
}

Status feed_layers(const Archive& archive, const ArchiveImage& image, LayerBatch& batch) {
  for (std::size_t i = 0; i < image.sources.size(); ++i) {
    const auto step = format_text("layer {}", image.members[i]);
    if (batch.state(i) == LayerState::ready) continue;
    if (batch.state(i) == LayerState::blob_only) {
      TRY(batch.unpack_blob(i).during(step));
      continue;
    }
    const auto sink = TRY(batch.start(i));
    TRY(archive.stream(image.members[i], [&](std::string_view bytes) { return sink->write(bytes); }).during(step));
    TRY(sink->finish().during(step));
  }
  return ok();
}

Result<std::string> import_image(const Archive& archive, LayerStore& layers, ImageStore& images, const std::string& tag,
                                 const ConfigChanges& changes) {
  auto image = TRY(is_oci_layout(archive) ? read_oci_layout(archive, tag) : read_docker_archive(archive, tag));
  const auto batch = TRY(layers.begin(image.sources));
  TRY(feed_layers(archive, image, *batch));
  TRY(batch->commit());
  if (!is_empty(changes)) {
    const auto manifest = TRY(oci::parse_manifest(image.manifest));
    const auto epoch = TRY(source_date_epoch());
    image.config = TRY(edit_config(image.config, changes, "", created_text(epoch), {.created_by = "husk-image import"}));
    image.manifest = TRY(make_manifest(image.config, manifest.layers,
                                       manifest.media_type == oci::media_type::kDockerManifest));
  }
  return images.record({.manifest = image.manifest, .config = image.config, .tags = {tag}});
}

ImageChange import_change(const std::string& path, const std::string& tag, const ConfigChanges& changes) {
  return {.changes = changes, .created_by = "husk-image import " + path.substr(path.rfind('/') + 1), .tag = tag};
}

}  // namespace

Result<std::string> Importer::run(const std::string& path, const std::string& name, const ConfigChanges& changes) {
  const auto tag = TRY(normalised_tag(name));
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0).hint("give a tar file, an OCI layout or a directory"));
  if (!S_ISDIR(info.st_mode)) return from_file(path, tag, changes).during(format_text("import {}", quote(path)));
  const auto archive = TRY(open_directory_archive(path));
  if (is_oci_layout(*archive))
    return import_image(*archive, *layers_, *images_, tag, changes).during(format_text("import {}", quote(path)));
  LayerWriteOptions options;
  options.latest_time = TRY(source_date_epoch());
  return record_with_layer(*layers_, *images_, {.config = empty_config()}, directory_feed(path, options),
                           import_change(path, tag, changes))
      .during(format_text("import {}", quote(path)));
}

Result<UniqueFd> Importer::decompressed(int file, Compression compression) {
  const auto path = parts_.dir.temporary_path("archive");
  auto plain = TRY(sys::openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(sys::unlinkat(AT_FDCWD, path));  // it lives as long as it is open
  const auto decompressor = TRY(make_decompressor(compression));
  std::uint64_t total = 0;
  const auto write = [&](std::string_view bytes) -> Status {
    total += bytes.size();
    if (total > parts_.limits.max_bytes)
      return Error{Kind::exhausted, format_text("the archive is larger than {} bytes unpacked", parts_.limits.max_bytes)};
    return sys::write_all(plain.get(), bytes);
  };
  TRY(stream_fd(file, [&](std::string_view bytes) { return decompressor->push(bytes, write); }));
  TRY(decompressor->finish());
  return plain;
}

Result<std::string> Importer::from_file(const std::string& path, const std::string& tag, const ConfigChanges& changes) {
  auto file = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY));
  std::string head(6, '\0');
  const auto got = TRY(sys::pread_some(file.get(), head, 0).hint("the file must be seekable: save a pipe to a file first"));
  head.resize(got);
  if (got == 0) return Error{Kind::invalid, "the file is empty"}.hint("the download or export before may have failed");
  const auto compression = TRY(detect_compression(head));
  auto content = TarContent::image_archive;
  if (compression != Compression::none) content = TRY(tell_content(file.get(), compression, parts_.limits));
  TRY(sys::lseek(file.get(), 0, SEEK_SET));
  if (content == TarContent::image_archive) {
    // An archive is read here and there, so it must lie open; headers of a plain tar are quickly read.
    auto plain = TRY(compression == Compression::none ? sys::dup_cloexec(file.get()) : decompressed(file.get(), compression));
    const auto archive = TRY(open_tar_archive(std::move(plain), parts_.limits));
    if (is_oci_layout(*archive) || is_docker_archive(*archive))
      return import_image(*archive, *layers_, *images_, tag, changes);
    TRY(sys::lseek(file.get(), 0, SEEK_SET));
  }
  const LayerFeed feed = [&](LayerSink& sink) -> Result<bool> {
    TRY(stream_fd(file.get(), [&](std::string_view bytes) { return sink.write(bytes); }));
    return true;
  };
  return record_with_layer(*layers_, *images_, {.config = empty_config()}, feed, import_change(path, tag, changes));
}

}  // namespace husk::images
