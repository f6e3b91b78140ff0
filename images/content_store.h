// Blobs by digest: blobs/sha256/<hex>. A blob is written to tmp/, hashed on the way, and appears
// under its digest by rename, whole and synced, or not at all. Thread-safe.
// Digests are texts "sha256:<64 hex>"; each function checks them before they become a path
// (CVE-2024-3727). Read `ContentStore::begin` first.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/sha256.h"

namespace husk::images {

class Connection;
class Database;
class StoreDir;

// "sha256:<64 lower-case hex>" → the hex part. Errors: invalid, unsupported (another algorithm).
Result<std::string> digest_hex(const std::string& digest);

struct Expected {
  std::string digest;                 // "" = any
  std::optional<std::uint64_t> size;  // absent = any; checked at every write
};

// A blob on its way. Destroyed without commit: nothing stays.
class BlobWriter {
 public:
  BlobWriter(BlobWriter&&) noexcept = default;
  BlobWriter& operator=(BlobWriter&&) = delete;
  ~BlobWriter();

  Status write(std::string_view bytes);
  std::uint64_t size() const { return size_; }
  // No more bytes: checks size and digest. Returns the digest. Nothing is published yet.
  Result<std::string> finish();

 private:
  friend class ContentStore;
  BlobWriter(UniqueFd fd, std::string path, Expected expected, Sha256 hash);
  UniqueFd fd_;
  std::string path_;  // in tmp/
  Expected expected_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
  std::string digest_;  // after finish
};

class ContentStore {
 public:
  ContentStore(const StoreDir& dir, Database& database) : dir_{&dir}, database_{&database} {}

  Result<BlobWriter> begin(Expected expected);
  // finish() if needed, sync, rename, row. An equal blob that is there already wins. Call within a
  // lease (layer_sink.h) or follow with ImageStore::record: unreferenced blobs are garbage.
  Result<std::string> commit(BlobWriter writer);

  Result<bool> has(const std::string& digest) const;
  Result<UniqueFd> open_blob(const std::string& digest) const;  // O_RDONLY; error not_found
  Result<std::string> read_blob(const std::string& digest, std::size_t max_bytes) const;  // verified again
  Status remove(const std::string& digest);  // absence is success

  // For LayerBatch, which syncs many blobs at once: moves a finished, synced blob into place, inside
  // a write transaction of the database.
  Status publish(Connection& connection, BlobWriter& writer);

 private:
  const StoreDir* dir_;
  Database* database_;
};

}  // namespace husk::images
