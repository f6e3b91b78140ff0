// The directories of a store and who works in them. Every process that opens a store has its own
// tmp/<owner>/, held by flock: what a dead process left in its own is swept by the next one that
// opens the store, what a living one is busy with is never touched.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::images {

class StoreDir {
 public:
  // Creates what is missing. Modes are 0700: a layer may hold set-uid files (CVE-2021-41091, -41103).
  static Result<std::unique_ptr<StoreDir>> open(const std::string& root);
  ~StoreDir();
  StoreDir(const StoreDir&) = delete;
  StoreDir& operator=(const StoreDir&) = delete;

  const std::string& root() const { return root_; }
  const std::string& owner() const { return owner_; }
  std::string blob_path(const std::string& hex) const { return root_ + "/blobs/sha256/" + hex; }
  std::string layer_path(const std::string& hex) const { return root_ + "/layers/" + hex; }
  std::string container_path(const std::string& key) const { return root_ + "/containers/" + key; }
  // A new name in our own tmp directory; nothing is created.
  std::string temporary_path(const std::string& what) const;

  // Renames `path` into our tmp directory, at once; `empty_trash` deletes it later. Absence is success.
  Status to_trash(const std::string& path) const;
  void empty_trash() const;  // what cannot be removed stays for the next sweep

  // Held by who opens the store; waits.
  Result<UniqueFd> lock_gate() const;

  // Something could not be cleaned up (a full disk): our tmp directory stays when we end, so that the
  // next one to open the store does it.
  void leave_for_recovery() const { needs_recovery_ = true; }

  // Owners whose process is gone, found by open(); their tmp directories are removed already.
  const std::vector<std::string>& dead_owners() const { return dead_owners_; }
  // Owners (tmp directories) that exist now, ours among them.
  Result<std::vector<std::string>> owners() const;

 private:
  explicit StoreDir(std::string root) : root_{std::move(root)} {}
  Status sweep_dead_owners();
  std::string root_;
  std::string owner_;
  UniqueFd lock_;  // our tmp directory
  std::vector<std::string> dead_owners_;
  mutable std::atomic<std::uint64_t> counter_ = 0;
  mutable std::atomic<bool> needs_recovery_ = false;
};

// fsync of a directory: makes renames in it durable.
Status sync_directory(const std::string& path);

}  // namespace husk::images
