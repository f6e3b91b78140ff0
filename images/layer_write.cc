#include "images/layer_write.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/entry_path.h"
#include "images/overlay_marks.h"

namespace husk::images {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr std::size_t kReadBlock = 256U << 10U;

class Writer {
 public:
  Writer(const LayerWriteOptions& options, TarWriter& tar) : options_{&options}, tar_{&tar} {
    for (const auto& target : options.mount_targets) targets_.insert(target);
  }

  Status write_root(int root) {
    const auto info = TRY(sys::fstat(root));
    device_ = info.st_dev;
    const auto xattrs = TRY(read_xattrs(root));
    const bool changed = TRY(has_changed_attributes("", info, xattrs));
    if (changed) {
      auto entry = entry_of(info, "./", TarType::directory);
      entry.xattrs = xattrs;
      TRY(tar_->begin(entry));
    }
    return write_children(root, "");
  }

 private:
  struct Child {
    std::string name;
    struct stat info;
  };

  bool is_tree() const { return options_->lower == nullptr; }

  TarEntry entry_of(const struct stat& info, const std::string& path, TarType type) const {
    TarEntry entry{.name = path, .type = type, .mode = info.st_mode & 07777U, .uid = info.st_uid, .gid = info.st_gid};
    entry.mtime = info.st_mtim.tv_sec;
    entry.mtime_ns = static_cast<std::uint32_t>(info.st_mtim.tv_nsec);
    if (options_->latest_time.has_value() && entry.mtime >= *options_->latest_time) {
      entry.mtime = *options_->latest_time;
      entry.mtime_ns = 0;
    }
    return entry;
  }

  // Of a directory against the one below; true when there is none.
  Result<bool> has_changed_attributes(const std::string& path, const struct stat& info, const Xattrs& xattrs) const {
    if (is_tree()) return true;
    const auto below = TRY(options_->lower->find(path));
    if (!below.has_value() || !S_ISDIR(below->info.st_mode)) return !path.empty();
    const auto attributes = TRY(read_attributes(*below));
    return below->info.st_mode != info.st_mode || below->info.st_uid != info.st_uid ||
           below->info.st_gid != info.st_gid || attributes.xattrs != xattrs;
  }

  Result<std::vector<Child>> children_of(int directory) const {
    auto entries = TRY(sys::list_dir(directory));
    std::vector<Child> children;
    for (auto& entry : entries) {
      const auto info = TRY(sys::fstatat(directory, entry.name, AT_SYMLINK_NOFOLLOW));
      children.push_back({std::move(entry.name), info});
    }
    std::sort(children.begin(), children.end(), [](const Child& a, const Child& b) { return a.name < b.name; });
    return children;
  }

  Status write_children(int directory, const std::string& path) {
    const auto children = TRY(children_of(directory));
    for (const auto& child : children)
      if (is_whiteout(child.info)) TRY(write_whiteout(child_path(path, child.name), path, child.name));
    for (const auto& child : children)
      if (!is_whiteout(child.info)) TRY(write_child(directory, child, child_path(path, child.name)));
    return ok();
  }

  static std::string child_path(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "/" + name;
  }

  Status write_whiteout(const std::string& path, const std::string& parent, const std::string& name) {
    if (is_tree()) return ok();  // a device that hides nothing
    // What only the init layer had is nothing to remove from the image.
    const auto below = TRY(options_->lower->find(path));
    if (!below.has_value()) return ok();
    return write_marker(child_path(parent, std::string{kWhiteoutPrefix} + name));
  }

  Status write_marker(const std::string& path) {
    TRY(tar_->begin({.name = path, .type = TarType::file, .mode = 0644}));
    return tar_->end();
  }

  Status write_child(int parent, const Child& child, const std::string& path) {
    if (child.name.starts_with(kWhiteoutPrefix))
      return Error{Kind::unsupported, format_text("{} cannot be in a layer", quote(path))}.hint(
          "names that start with .wh. are reserved (image-spec layer.md)");
    switch (child.info.st_mode & S_IFMT) {
      case S_IFDIR: return write_directory(parent, child, path);
      case S_IFREG: return write_file(parent, child, path);
      case S_IFLNK: return write_symlink(parent, child, path);
      case S_IFSOCK: return ok();  // means nothing without the process behind it; tar has no type for it
      default: return write_node(parent, child, path);
    }
  }

  // True when the runtime made this only to mount on it.
  bool is_mount_target(const std::string& path) const { return targets_.contains(path); }
  bool is_above_target(const std::string& path) const {
    const auto next = targets_.lower_bound(path + "/");
    return next != targets_.end() && is_within(*next, path);
  }

  // Nothing below but mount targets and their parents.
  Result<bool> is_scaffolding(int directory, const std::string& path) const {
    if (!is_mount_target(path) && !is_above_target(path)) return false;
    const auto children = TRY(children_of(directory));
    for (const auto& child : children) {
      const auto below = child_path(path, child.name);
      if (S_ISREG(child.info.st_mode) && child.info.st_size == 0 && is_mount_target(below)) continue;
      if (!S_ISDIR(child.info.st_mode)) return false;
      const auto fd = TRY(sys::openat(directory, child.name, kOpenDirectory));
      const bool only = TRY(is_scaffolding(fd.get(), below));
      if (!only) return false;
    }
    return true;
  }

  Status write_directory(int parent, const Child& child, const std::string& path) {
    const auto fd = TRY(sys::openat(parent, child.name, kOpenDirectory));
    TRY(check_plain_overlay(fd.get(), path));
    const auto xattrs = TRY(read_xattrs(fd.get()));
    if (!is_tree()) {
      const bool scaffolding = TRY(is_scaffolding(fd.get(), path));
      if (scaffolding) {
        const auto below = TRY(options_->lower->find(path));
        const bool changed = TRY(has_changed_attributes(path, child.info, xattrs));
        if (!below.has_value() || !changed) return ok();
      }
    }
    auto entry = entry_of(child.info, path, TarType::directory);
    entry.xattrs = xattrs;
    TRY(tar_->begin(entry));
    if (!is_tree()) {
      const bool opaque = TRY(is_opaque(fd.get()));
      const auto below = opaque ? TRY(options_->lower->find(path)) : std::nullopt;
      if (below.has_value() && S_ISDIR(below->info.st_mode))
        TRY(write_marker(child_path(path, std::string{kOpaqueMarker})));
    }
    if (child.info.st_dev != device_) return ok();  // another file system is mounted there
    return write_children(fd.get(), path);
  }

  // Upper directories of our own mounts have neither; those of others may.
  Status check_plain_overlay(int fd, const std::string& path) const {
    if (is_tree()) return ok();
    const auto names = TRY(sys::flistxattr(fd));
    for (const auto& name : names)
      if (name == "trusted.overlay.redirect" || name == "trusted.overlay.metacopy")
        return Error{Kind::unsupported, format_text("{} has the attribute {}", quote(path), name)}.hint(
            "the read-write layer was mounted with redirect_dir or metacopy by another program");
    return ok();
  }

  Status write_file(int parent, const Child& child, const std::string& path) {
    if (!is_tree() && child.info.st_size == 0 && is_mount_target(path)) {
      const auto below = TRY(options_->lower->find(path));
      if (!below.has_value()) return ok();
    }
    if (child.info.st_nlink > 1) {
      const auto [first, is_new] = links_.try_emplace({child.info.st_dev, child.info.st_ino}, path);
      if (!is_new) {
        auto entry = entry_of(child.info, path, TarType::hard_link);
        entry.link = first->second;
        TRY(tar_->begin(entry));
        return tar_->end();
      }
    }
    const auto fd = TRY(sys::openat(parent, child.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    TRY(check_plain_overlay(fd.get(), path));
    auto entry = entry_of(child.info, path, TarType::file);
    entry.size = static_cast<std::uint64_t>(child.info.st_size);
    entry.xattrs = TRY(read_xattrs(fd.get()));
    TRY(tar_->begin(entry));
    for (auto left = entry.size; left > 0;) {
      const auto got = TRY(sys::read_some(fd.get(), std::span{block_}.first(std::min<std::uint64_t>(block_.size(), left))));
      if (got == 0)
        return Error{Kind::busy, format_text("{} became shorter while it was read", quote(path))}.hint(
            "stop or pause the container, then try again");
      TRY(tar_->data(std::string_view{block_}.substr(0, got)));
      left -= got;
    }
    return tar_->end();
  }

  Status write_symlink(int parent, const Child& child, const std::string& path) {
    auto entry = entry_of(child.info, path, TarType::symlink);
    entry.mode = 0777;
    entry.link = TRY(sys::readlinkat(parent, child.name));
    TRY(tar_->begin(entry));
    return tar_->end();
  }

  Status write_node(int parent, const Child& child, const std::string& path) {
    const auto type = S_ISFIFO(child.info.st_mode)  ? TarType::fifo
                      : S_ISCHR(child.info.st_mode) ? TarType::char_device
                                                    : TarType::block_device;
    auto entry = entry_of(child.info, path, type);
    if (type != TarType::fifo) {
      entry.device_major = major(child.info.st_rdev);
      entry.device_minor = minor(child.info.st_rdev);
    }
    entry.xattrs = TRY(read_xattrs_of(format_text("/proc/self/fd/{}/{}", parent, child.name)));
    TRY(tar_->begin(entry));
    return tar_->end();
  }

  const LayerWriteOptions* options_;
  TarWriter* tar_;
  std::set<std::string> targets_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  dev_t device_ = 0;
  std::string block_ = std::string(kReadBlock, '\0');
};

}  // namespace

Result<std::uint64_t> write_layer(const std::string& directory, const LayerWriteOptions& options, TarWriter& tar) {
  const auto root = TRY(sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  const auto before = tar.entries();
  TRY(Writer(options, tar).write_root(root.get()).during(format_text("write layer from {}", quote(directory))));
  return tar.entries() - before;
}

}  // namespace husk::images
