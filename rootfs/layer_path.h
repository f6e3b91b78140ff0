// How a directory of an overlay is named to the kernel: its own path where that is safe, else the
// short /proc/self/fd/N of a descriptor that must stay open until the mount is made.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::rootfs {

class LayerPath {
 public:
  LayerPath() = default;
  // fsconfig(2) takes values of at most 255 bytes, and the overlay parser reads ':', ',' and '\' in
  // ways that changed between kernels (6.5, 6.7, 6.8). Such paths go by descriptor.
  static Result<LayerPath> open(const std::string& path);
  static Result<LayerPath> open_short(const std::string& path);  // always by descriptor
  const std::string& text() const { return text_; }

 private:
  UniqueFd fd_;
  std::string text_;
};

}  // namespace husk::rootfs
