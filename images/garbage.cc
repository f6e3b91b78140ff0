#include "images/garbage.h"

#include <algorithm>

#include "base/sys.h"
#include "images/content_store.h"
#include "images/database.h"
#include "images/store_dir.h"

namespace husk::images {
namespace {

constexpr const char* kUnusedLayers = R"sql(
SELECT chain FROM layers WHERE NOT EXISTS (SELECT 1 FROM image_layers WHERE image_layers.chain = layers.chain)
  AND NOT EXISTS (SELECT 1 FROM container_layers WHERE container_layers.chain = layers.chain)
  AND NOT EXISTS (SELECT 1 FROM pins WHERE item = 'layer:' || layers.chain))sql";
constexpr const char* kUnusedBlobs = R"sql(
SELECT digest FROM blobs WHERE NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE manifest_blobs.digest = blobs.digest)
  AND NOT EXISTS (SELECT 1 FROM pins WHERE item = 'blob:' || blobs.digest))sql";

Result<std::vector<std::string>> delete_rows(Connection& connection, const char* query, const char* statement) {
  std::vector<std::string> keys;
  auto rows = TRY(connection.prepare(query));
  while (TRY(rows.step())) keys.push_back(rows.text(0));
  for (const auto& key : keys) {
    auto gone = TRY(connection.prepare(statement));
    TRY(gone.bind(key).run());
  }
  return keys;
}

Result<bool> has_row(Connection& connection, const char* query, const std::string& key) {
  auto row = TRY(connection.prepare(query));
  return row.bind(key).step();
}

constexpr const char* kLayerRow = "SELECT 1 FROM layers WHERE chain = ?";
constexpr const char* kBlobRow = "SELECT 1 FROM blobs WHERE digest = ?";

// Digests of rows whose files may go; checked again under the lock, since another process may have
// made them anew meanwhile.
Status remove_files(Database& database, const StoreDir& dir, const std::vector<std::string>& layers,
                    const std::vector<std::string>& blobs) {
  const auto work = [&](Connection& connection) -> Status {
    for (const auto& chain : layers) {
      const auto hex = TRY(digest_hex(chain));
      const bool used = TRY(has_row(connection, kLayerRow, chain));
      if (!used) TRY(dir.to_trash(dir.layer_path(hex)));
    }
    for (const auto& digest : blobs) {
      const auto hex = TRY(digest_hex(digest));
      const bool used = TRY(has_row(connection, kBlobRow, digest));
      if (!used) TRY(dir.to_trash(dir.blob_path(hex)));
    }
    return ok();
  };
  TRY(database.write(work, Database::Sync::no));
  dir.empty_trash();
  return ok();
}

Result<std::vector<std::string>> names_in(const std::string& path) {
  const auto fd = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(fd.get()));
  std::vector<std::string> names;
  for (const auto& entry : entries)
    if (digest_hex("sha256:" + entry.name).has_value()) names.push_back("sha256:" + entry.name);
  return names;
}

}  // namespace

Status collect_garbage(Database& database, const StoreDir& dir) {
  std::vector<std::string> layers;
  std::vector<std::string> blobs;
  const auto work = [&](Connection& connection) -> Status {
    layers = TRY(delete_rows(connection, kUnusedLayers, "DELETE FROM layers WHERE chain = ?"));
    blobs = TRY(delete_rows(connection, kUnusedBlobs, "DELETE FROM blobs WHERE digest = ?"));
    return ok();
  };
  TRY(database.write(work, Database::Sync::no));
  if (layers.empty() && blobs.empty()) return ok();
  return remove_files(database, dir, layers, blobs).during("remove unused layers");
}

Status sweep_orphans(Database& database, const StoreDir& dir) {
  const auto layers = TRY(names_in(dir.root() + "/layers"));
  const auto blobs = TRY(names_in(dir.root() + "/blobs/sha256"));
  return remove_files(database, dir, layers, blobs).during("sweep files without a record");
}

Status drop_dead_pins(Database& database, const std::vector<std::string>& living_owners) {
  const auto work = [&](Connection& connection) -> Status {
    std::vector<std::string> dead;
    auto owners = TRY(connection.prepare("SELECT DISTINCT owner FROM pins"));
    while (TRY(owners.step()))
      if (std::find(living_owners.begin(), living_owners.end(), owners.text(0)) == living_owners.end())
        dead.push_back(owners.text(0));
    for (const auto& owner : dead) {
      auto statement = TRY(connection.prepare("DELETE FROM pins WHERE owner = ?"));
      TRY(statement.bind(owner).run());
    }
    return ok();
  };
  return database.write(work, Database::Sync::no);
}

}  // namespace husk::images
