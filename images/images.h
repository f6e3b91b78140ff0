// The façade of images/: one store, shared by huskd and husk-image (safe at the same time).
// On disk below `root`: blobs/sha256/…, layers/<chain id>/fs, containers/<id>/{upper,work,rootfs},
// tmp/, images.db (SQLite, WAL). Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace husk::images {

struct ImageConfig {  // of image-spec config.json, what running needs
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> volumes;
  std::string working_dir;
  std::string stop_signal;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::string> exposed_ports;
};

struct Image {
  std::string id;                         // "sha256:<hex>" of the config
  std::vector<std::string> repo_tags;     // "docker.io/library/busybox:latest"
  std::vector<std::string> repo_digests;  // "docker.io/library/busybox@sha256:…"
  std::uint64_t size_bytes = 0;           // blobs: config + layers, compressed
  std::vector<std::string> layer_chain_ids;
  std::string created;                    // RFC 3339, may be empty
  bool pinned = false;
  ImageConfig config;
};

struct Credentials {  // of one pull; never logged, never kept
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  std::string server_address;  // "" = any
};

enum class PullStage : std::uint8_t { resolving, downloading, unpacking, committing, done };
struct PullProgress {
  PullStage stage = PullStage::resolving;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;  // 0 = unknown
  std::string what;               // digest or reference
};
struct PullOptions {
  Credentials credentials;
  std::string platform;                           // "" = this machine's
  std::function<void(const PullProgress&)> progress;
  const std::atomic<bool>* cancelled = nullptr;   // polled at every block; error kind cancelled
};

struct StoreOptions {
  std::string root;                                        // "/var/lib/husk"
  std::string registries_conf = "/etc/containers/registries.conf";
  std::string registries_conf_dir = "/etc/containers/registries.conf.d";
  std::vector<std::string> certs_dirs = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
};

struct FsUsage {
  std::string mountpoint;
  std::uint64_t used_bytes = 0;
  std::uint64_t inodes_used = 0;
};

// A container's root file system, mounted: read-only layers, init layer, read-write layer.
struct ContainerRootfs {
  std::string path;       // overlay mount point, to be used as root.path
  std::string upper_dir;  // read-write layer
};

class Images {
 public:
  virtual ~Images() = default;

  // ---- names -----------------------------------------------------------------------------------
  virtual Result<std::vector<Image>> list() = 0;
  // A tag, digest reference, image id ("sha256:…" or hex) or unique id prefix; nullopt = unknown.
  virtual Result<std::optional<Image>> find(const std::string& reference) = 0;
  virtual Status tag(const std::string& reference, const std::string& new_tag) = 0;
  // CRI rule: removes the image with all its names. Unknown is success. In use by a container:
  // names go, layers stay until the container is released.
  virtual Status remove(const std::string& reference) = 0;
  // husk-image rm: removes one name; the image goes with its last name.
  virtual Status untag(const std::string& reference) = 0;
  virtual Status set_pinned(const std::string& reference, bool pinned) = 0;
  virtual Result<FsUsage> usage() = 0;

  // ---- content ---------------------------------------------------------------------------------
  // Concurrent pulls of one reference share one download. Returns the image id.
  virtual Result<std::string> pull(const std::string& reference, const PullOptions& options) = 0;
  // A tar file (OCI layout, docker-archive, or a plain root file system) or a directory tree, by what
  // it holds. Returns the image id.
  virtual Result<std::string> import(const std::string& path, const std::string& name) = 0;
  // The raw config JSON, for inspect and verbose status.
  virtual Result<std::string> config_text(const std::string& image_id) = 0;

  // ---- containers' root file systems -----------------------------------------------------------
  // Creates the read-write layer and mounts the overlay. `key` is the container id. Idempotent.
  virtual Result<ContainerRootfs> prepare_container(const std::string& key, const std::string& image_id) = 0;
  // Mounts again after a reboot; success when mounted already.
  virtual Result<ContainerRootfs> mount_container(const std::string& key) = 0;
  // Unmounts and removes the read-write layer. Absence is success.
  virtual Status release_container(const std::string& key) = 0;
  // Of prepare_container; husk-image's bundles and views of images are not among them.
  virtual Result<std::vector<std::string>> container_keys() = 0;
  virtual Result<FsUsage> container_usage(const std::string& key) = 0;  // of the read-write layer
  // A read-only view of an image (image volumes, husk-image mount); path of the mount point.
  virtual Result<std::string> mount_image(const std::string& image_id, const std::string& key) = 0;
  virtual Status unmount_image(const std::string& key) = 0;
  virtual Result<std::vector<std::string>> view_keys() = 0;  // of mount_image, by whomever
  // The read-write layer of `key` becomes a new layer on its image; the init layer stays out.
  virtual Result<std::string> commit(const std::string& key, const std::string& name) = 0;
};
Result<std::unique_ptr<Images>> open(const StoreOptions& options);

}  // namespace husk::images
