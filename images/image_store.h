// Names and images in the database. An image appears with its manifest, config and names in one
// transaction, or not at all. Names are full and normalised: "docker.io/library/busybox:latest",
// "docker.io/library/busybox@sha256:…" (reference.h). Thread-safe; safe for several processes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "images/images.h"

namespace husk::images {

class Connection;
class Database;

struct NewImage {
  std::string manifest;                   // exact bytes; OCI or Docker schema 2
  std::string config;                     // exact bytes; its digest is checked against the manifest
  std::vector<std::string> tags;          // taken from the image that had them
  std::vector<std::string> repo_digests;  // "name@" + digest of the manifest (or of the index pulled)
};

class ImageStore {
 public:
  explicit ImageStore(Database& database) : database_{&database} {}

  // Checks the texts, that every layer is unpacked (the batch that made them must still live), and
  // records. The same image again adds names. Returns the image id.
  Result<std::string> record(const NewImage& image);

  Result<std::vector<Image>> list() const;
  Result<std::optional<Image>> find_by_id(const std::string& id) const;        // "sha256:<hex>"
  Result<std::optional<Image>> find_by_name(const std::string& name) const;    // exact, normalised
  // A hex prefix of an id; nullopt = unknown; error invalid = ambiguous.
  Result<std::optional<Image>> find_by_prefix(const std::string& hex) const;
  Result<std::string> config_text(const std::string& id) const;
  Result<std::string> manifest_text(const std::string& id) const;

  Status add_name(const std::string& id, const std::string& name);
  // With all names; absence is success. While containers use it, it is only hidden.
  Status remove_image(const std::string& id);
  // The image goes with its last tag; a repository's digest references go with its last tag.
  Status remove_name(const std::string& name);
  Status set_pinned(const std::string& id, bool pinned);

  // Deletes removed images that no container uses any longer; in a write transaction.
  static Status drop_removed(Connection& connection);

 private:
  Database* database_;
};

}  // namespace husk::images
