// image-spec 1.1 as plain data: manifest, index, configuration; the Docker schema 2 twins use the
// same structs. parse_image.h reads and writes them.
// Source: image-spec v1.1.1 manifest.md, image-index.md, config.md, descriptor.md, media-types.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci-spec/digest.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

namespace media_type {
inline constexpr std::string_view kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kEmpty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view kLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media_type

enum class Compression : std::uint8_t { none, gzip, zstd };
struct LayerType {
  std::string_view media_type;
  Compression compression;
  bool distributable;  // false: fetched from `urls`, never pushed by default
};
std::optional<LayerType> find_layer_type(std::string_view media_type);  // nullopt: no layer we can unpack

struct ImagePlatform {
  std::string architecture;  // GOARCH
  std::string os;
  std::string os_version;
  std::vector<std::string> os_features;
  std::string variant;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  std::vector<std::string> urls;
  StringMap annotations;
  std::optional<ImagePlatform> platform;  // in an index
  std::string artifact_type;
};

struct Manifest {
  std::string media_type;  // kManifest or kDockerManifest
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
  std::optional<Descriptor> subject;
  StringMap annotations;
};

struct Index {
  std::string media_type;  // kIndex or kDockerIndex
  std::string artifact_type;
  std::vector<Descriptor> manifests;  // those whose digest algorithm we know, in document order
  StringMap annotations;
};

struct ContainerConfig {  // "config" of the image configuration
  std::string user;
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> volumes;
  std::string working_dir;
  StringMap labels;
  std::string stop_signal;
  std::vector<std::string> shell;     // Docker's, as the three below
  std::vector<std::string> on_build;
  bool args_escaped = false;
  Json healthcheck;                   // as it was; null = absent
};

struct History {
  std::string created;  // RFC 3339
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};

struct ImageConfig {
  std::string created;  // RFC 3339, "" = absent
  std::string author;
  ImagePlatform platform;
  ContainerConfig config;
  std::vector<Digest> diff_ids;  // of the uncompressed tars, bottom first
  std::vector<History> history;
};

}  // namespace husk::oci
