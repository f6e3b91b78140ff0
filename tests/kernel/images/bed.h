// A store in a directory of its own, in a mount namespace of its own, and images made of tar texts.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/harness.h"
#include "images/config_edit.h"
#include "images/content_store.h"
#include "images/database.h"
#include "images/image_store.h"
#include "images/layer_store.h"
#include "images/merged_view.h"
#include "images/new_layer.h"
#include "images/overlay_marks.h"
#include "images/store_dir.h"
#include "images/tools.h"
#include "rootfs/overlay.h"
#include "unit/images/tar_text.h"

namespace husk::test {

// Everything mounted here stays here and goes with the test program.
inline void own_mounts() {
  static const bool done = [] {
    REQUIRE_OK(sys::unshare(CLONE_NEWNS));
    REQUIRE_OK(sys::mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
    return true;
  }();
  (void)done;
}

// A tmpfs of its own: fast where many stores are made, and small where a disk must be full.
class TmpfsDir {
 public:
  explicit TmpfsDir(const std::string& options = "size=256m") {
    own_mounts();
    REQUIRE_OK(sys::mount("tmpfs", dir_.path(), "tmpfs", 0, options));
  }
  TmpfsDir(const TmpfsDir&) = delete;
  TmpfsDir& operator=(const TmpfsDir&) = delete;
  ~TmpfsDir() { (void)rootfs::detach(dir_.path()); }
  std::string operator/(const std::string& name) const { return dir_ / name; }
  void resize(const std::string& options) const {
    REQUIRE_OK(sys::mount("tmpfs", dir_.path(), "tmpfs", MS_REMOUNT, options));
  }

 private:
  TempDir dir_;
};

#define HUSK_NEEDS_ROOT() \
  if (!husk::test::is_root()) HUSK_SKIP("overlay layers need root (trusted.* attributes, device nodes)")

// The parts of a store, without the façade.
struct Bed {
  explicit Bed(const std::string& root, images::UnpackLimits limits = {})
      : dir{images::StoreDir::open(root).value()},
        database{images::Database::open(root + "/images.db").value()},
        content{*dir, *database},
        parts{*dir, *database, content, limits},
        layers{images::make_layer_store(parts)},
        store{*database} {}
  std::unique_ptr<images::StoreDir> dir;
  std::unique_ptr<images::Database> database;
  images::ContentStore content;
  images::StoreParts parts;
  std::unique_ptr<images::LayerStore> layers;
  images::ImageStore store;
};

struct Layers {
  std::vector<std::string> directories;  // of "fs", top first
  std::unique_ptr<images::LayerBatch> batch;  // keeps them
};

// Unpacks the tars, bottom first, feeding them in the given order ("" = as they are).
inline Result<Layers> unpack(Bed& bed, const std::vector<std::string>& tars, std::vector<std::size_t> order = {}) {
  std::vector<images::LayerSource> sources;
  for (const auto& tar : tars) sources.push_back({.diff_id = images::sha256_of(tar).value()});
  Layers made{.batch = TRY(bed.layers->begin(sources))};
  if (order.empty())
    for (std::size_t i = 0; i < tars.size(); ++i) order.push_back(i);
  for (const auto i : order) {
    if (made.batch->state(i) == images::LayerState::ready) continue;
    const auto sink = TRY(made.batch->start(i));
    for (std::size_t at = 0; at < tars[i].size(); at += 1000) TRY(sink->write(std::string_view{tars[i]}.substr(at, 1000)));
    TRY(sink->finish());
  }
  const auto results = TRY(made.batch->commit());
  for (const auto& result : results)
    made.directories.insert(made.directories.begin(), bed.dir->layer_path(images::digest_hex(result.chain_id).value()) + "/fs");
  return made;
}

inline void describe_into(const std::string& root, const std::string& path, std::map<std::string, std::string>& out) {
  const auto full = root + (path.empty() ? "" : "/" + path);
  const auto fd = sys::openat(AT_FDCWD, full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  REQUIRE_OK(fd);
  const auto entries = sys::list_dir(fd.value().get());
  REQUIRE_OK(entries);
  for (const auto& entry : entries.value()) {
    const auto name = path.empty() ? entry.name : path + "/" + entry.name;
    const auto stat = sys::fstatat(fd.value().get(), entry.name, AT_SYMLINK_NOFOLLOW);
    if (!stat.has_value()) {
      out[name] = "unreadable";
      continue;
    }
    const auto& info = stat.value();
    const auto owner = format_text("{:o} {}:{}", info.st_mode & 07777U, info.st_uid, info.st_gid);
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        out[name] = "d " + owner;
        describe_into(root, name, out);
        break;
      case S_IFREG: out[name] = "f " + owner + " " + read_file(root + "/" + name).value(); break;
      case S_IFLNK: out[name] = "l " + sys::readlinkat(fd.value().get(), entry.name).value(); break;
      case S_IFCHR: out[name] = format_text("c {} {}:{}", owner, major(info.st_rdev), minor(info.st_rdev)); break;
      case S_IFBLK: out[name] = format_text("b {} {}:{}", owner, major(info.st_rdev), minor(info.st_rdev)); break;
      default: out[name] = "p " + owner; break;
    }
  }
}

using Tree = std::map<std::string, std::string>;

inline Tree describe(const std::string& root) {
  Tree tree;
  describe_into(root, "", tree);
  return tree;
}

// The merged tree as the kernel shows it.
inline Tree merged(const std::vector<std::string>& directories, const std::string& mount_point) {
  own_mounts();
  REQUIRE_OK(make_directories(mount_point));
  const auto mount = rootfs::mount_overlay_detached({.lower = directories, .read_only = true});
  REQUIRE_OK(mount);
  REQUIRE_OK(rootfs::attach(mount.value(), mount_point));
  auto tree = describe(mount_point);
  REQUIRE_OK(rootfs::detach(mount_point));
  return tree;
}

inline std::string tar_of(const std::string& entries) { return entries + tar_end(); }

}  // namespace husk::test
