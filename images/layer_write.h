// A directory becomes a layer tar: an overlay's read-write layer for commit (with whiteouts and opaque
// markers against the layers below), or a whole tree for import. Deterministic: names sorted bytewise,
// whiteouts first, attributes sorted, times only from the files.
// Source: image-spec layer.md "Creating".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "images/merged_view.h"
#include "images/tar_writer.h"

namespace husk::images {

struct LayerWriteOptions {
  const MergedView* lower = nullptr;  // the image's layers, without the init layer; null: a whole tree
  // Places where the runtime mounted something: what it made there only to mount on (an empty file or
  // directory, and parents of nothing else) is left out. Normalised paths.
  std::vector<std::string> mount_targets;
  std::optional<std::int64_t> latest_time;  // SOURCE_DATE_EPOCH: later times become this one
};

// Returns how many entries were written; 0 = the directory changes nothing. Does not finish `tar`.
// Errors: unsupported (a directory made with redirect_dir or metacopy, a name that starts with .wh.).
Result<std::uint64_t> write_layer(const std::string& directory, const LayerWriteOptions& options, TarWriter& tar);

}  // namespace husk::images
