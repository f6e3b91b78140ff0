// docker-archive (`docker save`, `podman save`): manifest.json names the config and the layers.
#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "images/archive.h"
#include "images/import.h"
#include "images/new_layer.h"
#include "images/reference.h"
#include "images/sha256.h"
#include "oci-spec/parse_image.h"

namespace husk::images {
namespace {

struct Entry {
  std::string config;
  std::vector<std::string> tags;
  std::vector<std::string> layers;
};

Result<std::vector<Entry>> parse_entries(const std::string& text) {
  const auto json = TRY(oci::parse_json(text));
  const auto items = TRY(oci::JsonReader{json}.elements());
  std::vector<Entry> entries;
  for (const auto& item : items) {
    TRY(item.expect_object());
    Entry entry;
    const auto config = TRY(item.require("Config"));
    entry.config = TRY(config.string());
    entry.tags = TRY(item.find_strings("RepoTags"));
    entry.layers = TRY(item.find_strings("Layers"));
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return Error{Kind::invalid, "manifest.json lists no image"};
  return entries;
}

bool names(const Entry& entry, const std::string& tag) {
  return std::any_of(entry.tags.begin(), entry.tags.end(), [&](const std::string& text) {
    const auto reference = parse_reference(text);
    return reference.has_value() && reference.value().tagged() == tag;
  });
}

Result<Entry> choose(const std::vector<Entry>& entries, const std::string& tag) {
  if (entries.size() == 1) return entries.front();
  std::vector<std::string> offered;
  for (const auto& entry : entries) {
    if (names(entry, tag)) return entry;
    offered.insert(offered.end(), entry.tags.begin(), entry.tags.end());
  }
  return Error{Kind::invalid, format_text("the archive holds {} images", entries.size())}.hint(
      "give one of their names: " + join(offered, ", "));
}

// Digest, size and type of a layer as it lies in the archive: its descriptor, which the format lacks.
Result<oci::Descriptor> describe_layer(const Archive& archive, const std::string& member) {
  auto hash = TRY(Sha256::create());
  std::string head;
  const auto feed = [&](std::string_view bytes) {
    if (head.size() < 6) head.append(bytes.substr(0, 6));
    return hash.update(bytes);
  };
  const auto size = TRY(archive.stream(member, feed));
  const auto compression = TRY(detect_compression(head));
  const auto text = TRY(hash.finish());
  const auto digest = TRY(oci::Digest::parse(text));
  return oci::Descriptor{.media_type = media_type_of(compression), .digest = digest, .size = size};
}

}  // namespace

bool is_docker_archive(const Archive& archive) { return archive.has("manifest.json"); }

Result<ArchiveImage> read_docker_archive(const Archive& archive, const std::string& tag) {
  const auto text = TRY(read_text(archive, "manifest.json", oci::kMaxImageDocument));
  const auto entries = TRY(parse_entries(text).during("manifest.json"));
  const auto entry = TRY(choose(entries, tag));
  ArchiveImage image;
  image.config = TRY(read_text(archive, entry.config, oci::kMaxImageDocument));
  const auto config = TRY(oci::parse_image_config(image.config).during(entry.config));
  if (config.diff_ids.size() != entry.layers.size())
    return Error{Kind::invalid, format_text("manifest.json names {} layers, the config {}", entry.layers.size(),
                                            config.diff_ids.size())};
  std::vector<oci::Descriptor> layers;
  for (std::size_t i = 0; i < entry.layers.size(); ++i) {
    const auto layer = TRY(describe_layer(archive, entry.layers[i]));
    image.sources.push_back({.digest = layer.digest.text(), .diff_id = config.diff_ids[i].text(),
                             .media_type = layer.media_type, .size = layer.size});
    image.members.push_back(entry.layers[i]);
    layers.push_back(layer);
  }
  image.manifest = TRY(make_manifest(image.config, layers, false));
  return image;
}

}  // namespace husk::images
