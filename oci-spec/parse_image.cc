#include "oci-spec/parse_image.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "oci-spec/image_fields.h"

namespace husk::oci {
namespace {

constexpr std::array kLayerTypes{
    LayerType{media_type::kLayer, Compression::none, true},
    LayerType{media_type::kLayerGzip, Compression::gzip, true},
    LayerType{media_type::kLayerZstd, Compression::zstd, true},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::none, false},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::gzip, false},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::zstd, false},
    LayerType{"application/vnd.docker.image.rootfs.diff.tar", Compression::none, true},
    LayerType{media_type::kDockerLayerGzip, Compression::gzip, true},
    LayerType{"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::zstd, true},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::none, false},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::gzip, false}};

enum class Form : std::uint8_t { manifest, index };
struct DocumentType {
  std::string_view media_type;
  Form form;
};
constexpr std::array kDocumentTypes{
    DocumentType{media_type::kManifest, Form::manifest}, DocumentType{media_type::kDockerManifest, Form::manifest},
    DocumentType{media_type::kIndex, Form::index}, DocumentType{media_type::kDockerIndex, Form::index}};

const DocumentType* find_document_type(std::string_view media_type) {
  const auto* row = std::ranges::find(kDocumentTypes, media_type, &DocumentType::media_type);
  return row == kDocumentTypes.end() ? nullptr : row;
}

bool is_schema1(const JsonReader& json, std::string_view type) {
  const auto version = json.find("schemaVersion");
  return type.starts_with("application/vnd.docker.distribution.manifest.v1+") ||
         (version.has_value() && version->json().as_int64() == 1);
}

Error schema1_error() {
  return Error{Kind::unsupported, "the image has a Docker manifest of schema 1"}.hint(
      "push it again with a present tool; schema 1 was given up in 2017");
}

Status check_schema_version(const JsonReader& json) {
  const auto version = TRY(json.require("schemaVersion"));
  TRY(version.int64(2, 2));
  return ok();
}

// "application/json; charset=utf-8" → "application/json"; media types know no upper case.
std::string plain_type(std::string_view content_type) {
  return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

// What the document is, in its own words, in the registry's and by its members: all must agree.
// Source: CVE-2021-41190; image-spec manifest.md, image-index.md ("mediaType").
Result<DocumentType> document_type(const JsonReader& json, std::string_view content_type) {
  TRY(json.expect_object());
  std::string own;
  TRY(read(json, "mediaType", own));
  const auto told = plain_type(content_type);
  if (is_schema1(json, own.empty() ? told : own)) return schema1_error();
  TRY(check_schema_version(json));
  const auto* by_registry = find_document_type(told);
  const auto* by_itself = find_document_type(own);
  if (!own.empty() && by_itself == nullptr)
    return json.error(format_text("\"mediaType\" {} is no image manifest and no index", quote(own))).as(Kind::unsupported);
  if (by_itself != nullptr && by_registry != nullptr && by_itself != by_registry)
    return json.error(format_text("\"mediaType\" is {} but the registry said {}", quote(own), quote(told)));
  const bool as_manifest = json.find("config").has_value() || json.find("layers").has_value();
  const bool as_index = json.find("manifests").has_value();
  if (json.find("fsLayers").has_value() || (as_manifest && as_index))
    return json.error("can be read as two kinds of document (CVE-2021-41190)");
  if (by_itself == nullptr) by_itself = by_registry;
  if (by_itself == nullptr) by_itself = find_document_type(as_index ? media_type::kIndex : media_type::kManifest);
  if ((by_itself->form == Form::manifest && as_index) || (by_itself->form == Form::index && as_manifest))
    return json.error(format_text("is called {} but has the members of another kind (CVE-2021-41190)",
                                  quote(by_itself->media_type)));
  return *by_itself;
}

Result<Manifest> read_manifest(const JsonReader& json, const DocumentType& type) {
  const auto config = TRY(json.require("config"));
  auto config_descriptor = TRY(read_descriptor(config));
  TRY(json.require("layers"));
  Manifest manifest{.media_type = std::string{type.media_type},
                    .artifact_type = {},
                    .config = std::move(config_descriptor),
                    .layers = {},
                    .subject = {},
                    .annotations = {}};
  TRY(read(json, "artifactType", manifest.artifact_type));
  TRY(read_list(json, "layers", manifest.layers, kMaxLayers, read_descriptor));
  TRY(read_object(json, "subject", manifest.subject, read_descriptor));
  TRY(read(json, "annotations", manifest.annotations));
  return manifest;
}

// An entry with a digest of an unknown algorithm is of no use to us, but no error either.
Result<Index> read_index(const JsonReader& json, const DocumentType& type) {
  Index index{.media_type = std::string{type.media_type}, .artifact_type = {}, .manifests = {}, .annotations = {}};
  TRY(read(json, "artifactType", index.artifact_type));
  const auto list = TRY(json.require("manifests"));
  const auto entries = TRY(list.elements());
  TRY(check_count(list, entries.size(), kMaxManifests));
  for (const auto& entry : entries) {
    auto descriptor = read_descriptor(entry);
    if (!descriptor.has_value() && descriptor.error().kind() == Kind::unsupported) continue;
    if (!descriptor.has_value()) return std::move(descriptor).error();
    index.manifests.push_back(std::move(descriptor).value());
  }
  TRY(read(json, "annotations", index.annotations));
  return index;
}

Result<std::variant<Manifest, Index>> read_document(std::string_view text, std::string_view content_type) {
  using Document = std::variant<Manifest, Index>;
  const auto json = TRY(parse_image_json(text));
  const JsonReader reader{json};
  const auto type = TRY(document_type(reader, content_type));
  if (type.form == Form::index) return Document{TRY(read_index(reader, type))};
  return Document{TRY(read_manifest(reader, type))};
}

}  // namespace

std::optional<LayerType> find_layer_type(std::string_view media_type) {
  const auto* row = std::ranges::find(kLayerTypes, media_type, &LayerType::media_type);
  if (row == kLayerTypes.end()) return std::nullopt;
  return *row;
}

Result<Json> parse_image_json(std::string_view text) {
  return parse_json(text, {.max_bytes = kMaxImageDocument, .max_depth = 32});
}

Result<Digest> read_digest(const JsonReader& object, std::string_view key) {
  const auto value = TRY(object.require(key));
  const auto text = TRY(value.string());
  auto digest = Digest::parse(text);
  if (digest.has_value()) return digest;
  return Error{digest.error().kind(), format_text("\"{}\": {}", value.pointer(), digest.error().what())};
}

// In an index "architecture" and "os" are REQUIRED, but an entry without them only suits nobody.
Status read_platform(const JsonReader& json, ImagePlatform& into) {
  TRY(read(json, "architecture", into.architecture));
  TRY(read(json, "os", into.os));
  TRY(read(json, "os.version", into.os_version));
  TRY(read(json, "os.features", into.os_features));
  return read(json, "variant", into.variant);
}

// image-spec descriptor.md#properties
Result<Descriptor> read_descriptor(const JsonReader& json) {
  TRY(json.expect_object());
  std::string type;
  TRY(read_required(json, "mediaType", type));
  auto digest = TRY(read_digest(json, "digest"));
  Descriptor descriptor{.media_type = std::move(type), .digest = std::move(digest), .urls = {}, .annotations = {},
                        .platform = {}, .artifact_type = {}};
  const auto size = TRY(json.require("size"));
  descriptor.size = TRY(size.uint64(std::numeric_limits<std::int64_t>::max()));
  TRY(read(json, "urls", descriptor.urls));
  TRY(read(json, "annotations", descriptor.annotations));
  TRY(read(json, "artifactType", descriptor.artifact_type));
  if (const auto platform = json.find("platform")) {
    TRY(platform->expect_object());
    descriptor.platform.emplace();
    TRY(read_platform(*platform, *descriptor.platform));
  }
  return descriptor;
}

Result<std::variant<Manifest, Index>> parse_manifest_or_index(std::string_view text, std::string_view content_type) {
  return read_document(text, content_type).during("image manifest");
}

Result<Manifest> parse_manifest(std::string_view text, std::string_view content_type) {
  auto document = TRY(parse_manifest_or_index(text, content_type));
  if (auto* manifest = std::get_if<Manifest>(&document)) return std::move(*manifest);
  return Error{Kind::invalid, "image manifest: is an index of manifests"};
}

Result<Index> parse_index(std::string_view text, std::string_view content_type) {
  auto document = TRY(parse_manifest_or_index(text, content_type));
  if (auto* index = std::get_if<Index>(&document)) return std::move(*index);
  return Error{Kind::invalid, "image index: is the manifest of one image"};
}

}  // namespace husk::oci
