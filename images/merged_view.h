// What an overlay of layer directories would show, read without mounting it: for settling a layer on
// those below, for the init layer, for commit. Never follows a symlink.
// Source: kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/overlay_marks.h"

namespace husk::images {

class MergedView {
 public:
  static Result<MergedView> open(const std::vector<std::string>& directories);  // top layer first

  struct Found {
    UniqueFd parent;   // in the layer that shows it; "." in it for the root
    std::string name;
    struct stat info{};
  };
  Result<std::optional<Found>> find(const std::string& path) const;  // normalised path
  Result<std::vector<std::string>> list(const std::string& path) const;  // names, sorted; not a directory: empty
  bool is_empty() const { return layers_.empty(); }

 private:
  using Stack = std::vector<UniqueFd>;  // the directories merged at one path, top first
  struct Step {
    Stack directories;
    std::optional<Found> top;
  };
  Result<Step> step(const Stack& parents, const std::string& name) const;
  Result<std::optional<Step>> walk(const std::string& path) const;
  std::vector<UniqueFd> layers_;
};

// Owner, mode, extended attributes and times of a file as tar would carry them.
struct Attributes {
  struct stat info{};
  Xattrs xattrs;
};
Result<Attributes> read_attributes(const MergedView::Found& found);

}  // namespace husk::images
