#include "images/init_layer.h"

#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/entry_path.h"
#include "images/layer_settle.h"

namespace husk::images {
namespace {

constexpr std::array kDirectories{"dev/pts", "dev/shm", "proc", "sys"};
constexpr std::array kFiles{"etc/hosts", "etc/hostname", "etc/resolv.conf", "dev/console"};
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// A directory here hides whatever else the image has at that path, a symlink included; over an image's
// directory it must look the same.
Result<UniqueFd> make_directory(int parent, const std::string& name, const std::string& path, const MergedView& lower) {
  auto there = sys::openat(parent, name, kOpenDirectory);
  if (there.has_value()) return there;
  TRY(sys::mkdirat(parent, name, 0755));
  auto fd = TRY(sys::openat(parent, name, kOpenDirectory));
  TRY(sys::fchmod(fd.get(), 0755));
  const auto below = TRY(lower.find(path));
  if (below.has_value() && S_ISDIR(below->info.st_mode)) {
    const auto attributes = TRY(read_attributes(*below));
    TRY(copy_directory_attributes(fd.get(), attributes));
  }
  return fd;
}

Result<UniqueFd> make_directories(int root, const Components& parts, const MergedView& lower) {
  auto current = TRY(sys::openat(root, ".", kOpenDirectory));
  std::string path;
  for (const auto& part : parts) {
    path += path.empty() ? part : "/" + part;
    current = TRY(make_directory(current.get(), part, path, lower));
  }
  return current;
}

Status copy_times(int root, const std::string& path, const MergedView& lower) {
  timespec time{};
  const auto below = TRY(lower.find(path));
  if (below.has_value() && S_ISDIR(below->info.st_mode)) time = below->info.st_mtim;
  const timespec times[2] = {time, time};
  return sys::utimensat(root, path.empty() ? "." : path, times, AT_SYMLINK_NOFOLLOW);
}

}  // namespace

Status make_init_layer(const std::string& directory, const MergedView& lower) {
  const auto root = TRY(sys::openat(AT_FDCWD, directory, kOpenDirectory));
  TRY(sys::fchmod(root.get(), 0755));
  const auto below = TRY(lower.find(""));
  if (below.has_value()) {
    const auto attributes = TRY(read_attributes(*below));
    TRY(copy_directory_attributes(root.get(), attributes));
  }
  for (const auto* path : kDirectories) {
    const auto found = TRY(lower.find(path));
    if (found.has_value() && S_ISDIR(found->info.st_mode)) continue;
    TRY(make_directories(root.get(), split_path(path), lower));
  }
  for (const auto* path : kFiles) {
    auto parts = split_path(path);
    const auto name = parts.back();
    parts.pop_back();
    const auto parent = TRY(make_directories(root.get(), parts, lower));
    const auto file = TRY(sys::openat(parent.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    TRY(sys::fchmod(file.get(), 0644));
  }
  for (const auto* path : {"dev", "etc", ""}) TRY(copy_times(root.get(), path, lower));
  return ok();
}

}  // namespace husk::images
