#include "rootfs/layer_path.h"

#include "base/format.h"
#include "base/sys.h"

namespace husk::rootfs {
namespace {
constexpr std::size_t kMaxFsconfigValue = 255;  // strndup_user(…, 256) in fs/fsopen.c
}  // namespace

Result<LayerPath> LayerPath::open(const std::string& path) {
  const bool plain = path.size() <= kMaxFsconfigValue && path.find_first_of(":,\\") == std::string::npos;
  if (!plain) return open_short(path);
  LayerPath layer;
  layer.text_ = path;
  return layer;
}

Result<LayerPath> LayerPath::open_short(const std::string& path) {
  LayerPath layer;
  layer.fd_ = TRY(sys::openat(AT_FDCWD, path, O_PATH | O_DIRECTORY));
  layer.text_ = format_text("/proc/self/fd/{}", layer.fd_.get());
  return layer;
}

}  // namespace husk::rootfs
