#include "images/containers.h"

#include <errno.h>
#include <sys/file.h>

#include <array>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/ids.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/garbage.h"
#include "images/image_store.h"
#include "images/init_layer.h"
#include "images/layer_settle.h"
#include "images/merged_view.h"
#include "rootfs/overlay.h"

namespace husk::images {
namespace {

constexpr std::uint64_t kMaxWalk = 500'000;  // entries; about a second on a warm cache
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// The directory of one key, locked: who works on the same key waits. Who held it before may have moved it
// away: then the lock is one of a directory that nobody finds any more, and is taken again.
Result<UniqueFd> lock_directory(const std::string& path) {
  for (;;) {
    TRY(make_directories(path, 0700));
    auto fd = sys::openat(AT_FDCWD, path, kOpenDirectory);
    if (!fd.has_value() && fd.error().os_errno() == ENOENT) continue;
    if (!fd.has_value()) return fd;
    TRY(sys::flock(fd.value().get(), LOCK_EX));
    const auto held = TRY(sys::fstat(fd.value().get()));
    const auto there = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
    if (there.has_value() && there.value().st_dev == held.st_dev && there.value().st_ino == held.st_ino) return fd;
  }
}

// A directory on the way down. A container can nest directories deeper than any limit on descriptors or on
// the stack, so only the innermost one is open; the one above is found again through "..".
struct Level {
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> left;  // names that were not counted yet
};

Result<Level> enter_level(int directory) {
  const auto info = TRY(sys::fstat(directory));
  Level level{.device = info.st_dev, .inode = info.st_ino, .left = {}};
  for (auto& entry : TRY(sys::list_dir(directory))) level.left.push_back(std::move(entry.name));
  return level;
}

// A lower bound when the container moves directories meanwhile.
Status count_tree(UniqueFd current, FsUsage& usage) {
  std::vector<Level> levels;
  levels.push_back(TRY(enter_level(current.get())));
  while (usage.inodes_used < kMaxWalk) {
    if (levels.back().left.empty()) {
      levels.pop_back();
      if (levels.empty()) return ok();
      auto above = TRY(sys::openat(current.get(), "..", kOpenDirectory));
      const auto info = TRY(sys::fstat(above.get()));
      if (info.st_dev != levels.back().device || info.st_ino != levels.back().inode) return ok();
      current = std::move(above);
      continue;
    }
    const auto name = std::move(levels.back().left.back());
    levels.back().left.pop_back();
    const auto info = sys::fstatat(current.get(), name, AT_SYMLINK_NOFOLLOW);
    if (!info.has_value()) continue;  // the container removed it meanwhile
    ++usage.inodes_used;
    usage.used_bytes += static_cast<std::uint64_t>(info.value().st_blocks) * 512;
    if (!S_ISDIR(info.value().st_mode)) continue;
    auto child = sys::openat(current.get(), name, kOpenDirectory);
    if (!child.has_value()) continue;
    levels.push_back(TRY(enter_level(child.value().get())));
    current = std::move(child).value();
  }
  return ok();
}

constexpr std::array<std::string_view, 3> kUses{"container", "bundle", "view"};  // by Use

Containers::Use use_of(const std::string& text) {
  if (text == kUses[1]) return Containers::Use::bundle;
  return text == kUses[2] ? Containers::Use::view : Containers::Use::container;
}

Result<std::vector<std::string>> chains_of(Connection& connection, const std::string& key) {
  std::vector<std::string> chains;
  auto query = TRY(connection.prepare("SELECT chain FROM container_layers WHERE key = ? ORDER BY position"));
  query.bind(key);
  while (TRY(query.step())) chains.push_back(query.text(0));
  return chains;
}

}  // namespace

Result<std::optional<Containers::Record>> Containers::find(const std::string& key) {
  std::optional<Record> record;
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare("SELECT image, kind FROM containers WHERE key = ?"));
    const bool found = TRY(query.bind(key).step());
    if (!found) return ok();
    record = Record{.image = query.text(0), .use = use_of(query.text(1))};
    record->chains = TRY(chains_of(connection, key));
    return ok();
  };
  TRY(parts_.database.read(work));
  return record;
}

Result<std::vector<std::pair<std::string, Containers::Record>>> Containers::views() {
  std::vector<std::pair<std::string, Record>> found;
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare("SELECT key, image FROM containers WHERE kind = 'view' ORDER BY key"));
    while (TRY(query.step())) found.emplace_back(query.text(0), Record{.image = query.text(1), .use = Use::view});
    return ok();
  };
  TRY(parts_.database.read(work));
  return found;
}

Result<std::vector<std::string>> Containers::keys(Use use) {
  std::vector<std::string> keys;
  const auto work = [&](Connection& connection) -> Status {
    auto query = TRY(connection.prepare("SELECT key FROM containers WHERE kind = ? ORDER BY key"));
    query.bind(kUses[static_cast<std::size_t>(use)]);
    while (TRY(query.step())) keys.push_back(query.text(0));
    return ok();
  };
  TRY(parts_.database.read(work));
  return keys;
}

Result<bool> Containers::create(const std::string& key, const std::string& image_id, Use use) {
  bool made = false;
  const auto work = [&](Connection& connection) -> Status {
    auto known = TRY(connection.prepare("SELECT image, kind FROM containers WHERE key = ?"));
    const bool exists = TRY(known.bind(key).step());
    if (exists && known.text(0) == image_id && use_of(known.text(1)) == use) return ok();
    if (exists) return Error{Kind::exists, format_text("{} exists already, of image {}", quote(key), known.text(0))};
    auto image = TRY(connection.prepare("SELECT 1 FROM images WHERE id = ? AND removed = 0"));
    const bool found = TRY(image.bind(image_id).step());
    if (!found) return Error{Kind::not_found, format_text("no image {}", quote(image_id))};
    auto insert = TRY(connection.prepare("INSERT INTO containers (key, image, kind, added) VALUES (?, ?, ?, ?)"));
    TRY(insert.bind(key).bind(image_id).bind(kUses[static_cast<std::size_t>(use)]).bind(now_unix_ns()).run());
    auto layers = TRY(connection.prepare("INSERT INTO container_layers (key, position, chain) "
                                         "SELECT ?, position, chain FROM image_layers WHERE image = ?"));
    made = true;
    return layers.bind(key).bind(image_id).run();
  };
  // Synced: a directory whose row was lost in a power cut would be swept, with what was written to it.
  TRY(parts_.database.write(work));
  return made;
}

Result<std::vector<std::string>> Containers::layer_paths(const Record& record) const {
  std::vector<std::string> paths;
  for (auto chain = record.chains.rbegin(); chain != record.chains.rend(); ++chain) {
    const auto hex = TRY(digest_hex(*chain));
    paths.push_back(parts_.dir.layer_path(hex) + "/fs");
  }
  return paths;
}

Result<std::string> Containers::init_layer(const std::string& key, const Record& record) {
  // Beside the top layer, so that it goes with it; an image without layers has one per container.
  auto path = parts_.dir.container_path(key) + "/init";
  if (!record.chains.empty()) {
    const auto hex = TRY(digest_hex(record.chains.back()));
    path = parts_.dir.layer_path(hex) + "/init";
  }
  if (path_exists(path)) return path;
  const auto paths = TRY(layer_paths(record));
  const auto lower = TRY(MergedView::open(paths));
  const auto temporary = parts_.dir.temporary_path("init");
  TRY(sys::mkdirat(AT_FDCWD, temporary, 0755));
  Rollback undo;
  undo.on_failure([&] { (void)remove_tree(AT_FDCWD, temporary); });
  TRY(make_init_layer(temporary, lower).during("make init layer"));
  const auto moved = sys::renameat2(AT_FDCWD, temporary, AT_FDCWD, path);
  if (moved.has_value()) undo.commit();
  else if (!path_exists(path)) return moved.error();  // else: another one made the same meanwhile
  return path;
}

Status Containers::make_upper(const std::string& directory, const std::vector<std::string>& lower) {
  TRY(make_directories(directory + "/work", 0700));
  TRY(make_directories(directory + "/rootfs", 0755));
  if (path_exists(directory + "/upper")) return ok();
  // The upper root is what "/" shows: made aside and renamed, so that it never has wrong attributes.
  const auto temporary = parts_.dir.temporary_path("upper");
  TRY(sys::mkdirat(AT_FDCWD, temporary, 0755));
  const auto fd = TRY(sys::openat(AT_FDCWD, temporary, kOpenDirectory));
  const auto view = TRY(MergedView::open(lower));
  const auto root = TRY(view.find(""));
  if (root.has_value()) {
    const auto attributes = TRY(read_attributes(*root));
    TRY(copy_directory_attributes(fd.get(), attributes));
    const timespec times[2] = {root->info.st_mtim, root->info.st_mtim};
    TRY(sys::futimens(fd.get(), times));
  }
  return sys::renameat2(AT_FDCWD, temporary, AT_FDCWD, directory + "/upper");
}

// The key's directory is locked.
Result<ContainerRootfs> Containers::attach(const std::string& key, const Record& record) {
  const auto directory = parts_.dir.container_path(key);
  ContainerRootfs made{.path = directory + "/rootfs"};
  const bool read_only = record.use == Use::view;
  if (!read_only) made.upper_dir = directory + "/upper";
  auto lower = TRY(layer_paths(record));
  if (read_only) {
    TRY(make_directories(made.path, 0755));
  } else {
    auto init = TRY(init_layer(key, record));
    lower.insert(lower.begin(), std::move(init));
    TRY(make_upper(directory, lower));
  }
  const bool mounted = TRY(rootfs::is_mount_point(made.path));
  if (mounted) return made;
  rootfs::OverlayLayers layers{.lower = lower, .read_only = read_only};
  if (!read_only) {
    layers.upper = made.upper_dir;
    layers.work = directory + "/work";
  }
  const auto mount = TRY(rootfs::mount_overlay_detached(layers));
  TRY(rootfs::attach(mount, made.path));
  return made;
}

Result<ContainerRootfs> Containers::prepare(const std::string& key, const std::string& image_id, Use use) {
  TRY(ContainerId::parse(key));
  Rollback undo;
  const bool fresh = TRY(create(key, image_id, use).during(format_text("prepare {}", quote(key))));
  if (fresh) undo.on_failure([&] { (void)release(key); });
  auto made = TRY(mount(key).during(format_text("prepare {}", quote(key))));
  undo.commit();
  return made;
}

Result<ContainerRootfs> Containers::mount(const std::string& key) {
  TRY(ContainerId::parse(key));
  const Error unknown{Kind::not_found, format_text("no container {}", quote(key))};
  const auto before = TRY(find(key));
  if (!before.has_value()) return Error{unknown};
  const auto directory = parts_.dir.container_path(key);
  const auto lock = TRY(lock_directory(directory));
  // Asked again under the lock: a release that was faster must not be undone by half.
  const auto record = TRY(find(key));
  if (record.has_value()) return attach(key, *record);
  TRY(parts_.dir.to_trash(directory));
  parts_.dir.empty_trash();
  return Error{unknown};
}

Result<std::string> Containers::mount_image(const std::string& image_id, const std::string& key) {
  const auto made = TRY(prepare(key, image_id, Use::view));
  return made.path;
}

Status Containers::release(const std::string& key) {
  TRY(ContainerId::parse(key));
  const auto directory = parts_.dir.container_path(key);
  UniqueFd lock;  // held until the row is gone: who waits for it must not find the container
  if (path_exists(directory)) {
    lock = TRY(lock_directory(directory));
    TRY(rootfs::detach(directory + "/rootfs").during(format_text("release container {}", quote(key))));
  }
  const auto work = [&](Connection& connection) -> Status {
    auto statement = TRY(connection.prepare("DELETE FROM containers WHERE key = ?"));
    TRY(statement.bind(key).run());
    return ImageStore::drop_removed(connection);
  };
  TRY(parts_.database.write(work, Database::Sync::no));
  if (lock.is_open()) TRY(parts_.dir.to_trash(directory));
  lock.reset();
  parts_.dir.empty_trash();
  return collect_garbage(parts_.database, parts_.dir);
}

Result<FsUsage> Containers::usage(const std::string& key) {
  TRY(ContainerId::parse(key));
  FsUsage usage{.mountpoint = parts_.dir.root()};
  auto upper = sys::openat(AT_FDCWD, parts_.dir.container_path(key) + "/upper", kOpenDirectory);
  if (!upper.has_value()) {
    if (upper.error().os_errno() == ENOENT) return Error{Kind::not_found, format_text("no container {}", quote(key))};
    return upper.error();
  }
  TRY(count_tree(std::move(upper).value(), usage));
  return usage;
}

Status Containers::sweep() {
  const auto fd = TRY(sys::openat(AT_FDCWD, parts_.dir.root() + "/containers", kOpenDirectory));
  const auto entries = TRY(sys::list_dir(fd.get()));
  for (const auto& entry : entries) {
    const auto record = TRY(find(entry.name));
    if (record.has_value()) continue;
    const auto directory = parts_.dir.container_path(entry.name);
    TRY(rootfs::detach(directory + "/rootfs"));
    TRY(parts_.dir.to_trash(directory));
  }
  parts_.dir.empty_trash();
  return ok();
}

}  // namespace husk::images
