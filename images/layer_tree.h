// The directory of one layer while it is filled: finds and makes the parents of entries without ever
// following a symlink out of it, and remembers what only the layers below can settle (layer_settle.h).
// Paths are normalised texts (entry_path.h). All access is by descriptors from the layer's root.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/entry_path.h"
#include "images/overlay_marks.h"
#include "images/unpack_limits.h"

namespace husk::images {

class LayerTree {
 public:
  explicit LayerTree(UniqueFd root, std::size_t max_note_bytes = UnpackLimits{}.max_note_bytes)
      : root_{std::move(root)}, max_note_bytes_{max_note_bytes} {
    implied_[""] = timespec{};
  }

  struct Directory {
    UniqueFd fd;
    std::string path;  // normalised, free of symlinks
    std::string child(const std::string& name) const { return path.empty() ? name : path + "/" + name; }
  };
  // Symlinks of this very layer are followed inside it; a symlink of a lower layer is not seen: the
  // new directory stands in its place. Missing directories are made and noted as implied.
  Result<const Directory*> make_parent(const Components& parents, timespec cause_time);
  // The same without making anything; nullopt = a part is missing, or hidden by a whiteout.
  Result<std::optional<Directory>> find_parent(const Components& parents);
  // `path` must be a directory of this layer, as recorded: no symlink is followed at all.
  Result<UniqueFd> open_directory(const std::string& path) const;

  // Removes what stands at parent/name, with everything noted below it. Returns whether there was
  // something that hides the lower layers (a whiteout counts).
  Result<bool> clear(const Directory& parent, const std::string& name);
  Status add_whiteout(const Directory& parent, const std::string& name);
  // "Nothing of the lower directory shows": of a marker, whose directory keeps its attributes …
  Status add_opaque(const std::string& path, int directory);
  // … and of a directory that is new where something else was removed.
  Status add_new_over_removed(const std::string& path, int directory);
  bool is_hidden_by_opaque(const std::string& path) const;  // `path` itself or a directory above

  // Before each note: one entry of a tar can imply hundreds of directories, and each costs memory here and an
  // inode there. Error: exhausted.
  Status take_note(const std::string& path, std::size_t more_bytes = 0);
  // Notes, read and consumed by settle().
  std::map<std::string, timespec> implied_;  // directories without an entry; time of the entry that needed them
  std::map<std::string, timespec> directory_times_;
  std::map<std::string, std::string> default_acls_;  // set last: they would change new children
  std::map<std::string, std::string> links_;  // hard links whose target is not in this layer → target
  std::set<std::string> whiteouts_;
  std::set<std::string> opaque_;

  int root() const { return root_.get(); }

 private:
  Result<std::optional<Directory>> walk(Components parts, bool make, timespec cause_time);
  Result<UniqueFd> make_directory(int parent, const std::string& name, const std::string& path, timespec cause_time);
  void forget(const std::string& path);

  UniqueFd root_;
  std::size_t max_note_bytes_;
  std::size_t note_bytes_ = 0;
  Directory last_;              // the parent found last: entries of one directory come together
  std::string last_key_;        // what it was asked by
  bool has_last_ = false;
};

}  // namespace husk::images
