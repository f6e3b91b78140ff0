// Random access to the files of an image archive: a tar file (its members in any order) or a
// directory. Nothing is unpacked. Source: image-spec image-layout.md; docker save.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "images/decompress.h"
#include "images/unpack_limits.h"

namespace husk::images {

class Archive {
 public:
  virtual ~Archive() = default;
  // Names are relative; symlinks inside the archive are followed, never out of it.
  virtual bool has(const std::string& name) const = 0;
  virtual Result<std::uint64_t> stream(const std::string& name, const ByteSink& out) const = 0;  // error not_found
};

// Whole small files: the limit holds against archives that fill memory (CVE-2020-1702, CVE-2023-25153).
Result<std::string> read_text(const Archive& archive, const std::string& name, std::size_t max_bytes);

Result<std::unique_ptr<Archive>> open_directory_archive(const std::string& path);
// `file`: an uncompressed tar, seekable. Reads all headers.
Result<std::unique_ptr<Archive>> open_tar_archive(UniqueFd file, const UnpackLimits& limits);

// What a compressed tar holds, told by reading it once without writing anything: an image archive (has
// oci-layout or manifest.json in its top directory) or a root file system. Stops at the first name that
// only the latter has (etc/, usr/, bin).
enum class TarContent : std::uint8_t { image_archive, root_filesystem };
Result<TarContent> tell_content(int fd, Compression compression, const UnpackLimits& limits);

// Reads `fd` from where it stands to its end.
Status stream_fd(int fd, const ByteSink& out);

}  // namespace husk::images
