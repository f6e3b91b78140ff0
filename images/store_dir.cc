#include "images/store_dir.h"

#include <sys/file.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr mode_t kPrivate = 0700;
constexpr std::string_view kTrash = "trash-";

}  // namespace

Result<std::unique_ptr<StoreDir>> StoreDir::open(const std::string& root) {
  const auto absolute = TRY(absolute_path(root));
  std::unique_ptr<StoreDir> dir{new StoreDir{absolute}};
  for (const auto* part : {"", "/blobs", "/blobs/sha256", "/layers", "/containers", "/tmp"})
    TRY(make_directories(absolute + part, kPrivate).hint("the image store needs a directory it may write to"));
  // Held while sweeping and while our own directory is made but not locked yet.
  const auto gate = TRY(dir->lock_gate());
  TRY(dir->sweep_dead_owners().during("sweep unfinished work"));
  const auto owner = random_hex(8);
  TRY(sys::mkdirat(AT_FDCWD, absolute + "/tmp/" + owner, kPrivate));
  dir->owner_ = owner;
  dir->lock_ = TRY(sys::openat(AT_FDCWD, absolute + "/tmp/" + owner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(sys::flock(dir->lock_.get(), LOCK_EX | LOCK_NB));
  return dir;
}

Result<UniqueFd> StoreDir::lock_gate() const {
  auto gate = TRY(sys::openat(AT_FDCWD, root_ + "/tmp.lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  TRY(sys::flock(gate.get(), LOCK_EX));
  return gate;
}

StoreDir::~StoreDir() {
  if (!owner_.empty() && !needs_recovery_) (void)remove_tree(AT_FDCWD, root_ + "/tmp/" + owner_);
}

Status StoreDir::sweep_dead_owners() {
  const auto tmp = TRY(sys::openat(AT_FDCWD, root_ + "/tmp", O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(tmp.get()));
  for (const auto& entry : entries) {
    const auto fd = sys::openat(tmp.get(), entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd.has_value() && !sys::flock(fd.value().get(), LOCK_EX | LOCK_NB).has_value()) continue;
    TRY(remove_tree(tmp.get(), entry.name));
    dead_owners_.push_back(entry.name);
  }
  return ok();
}

Result<std::vector<std::string>> StoreDir::owners() const {
  const auto tmp = TRY(sys::openat(AT_FDCWD, root_ + "/tmp", O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(tmp.get()));
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  return names;
}

std::string StoreDir::temporary_path(const std::string& what) const {
  return format_text("{}/tmp/{}/{}-{}", root_, owner_, what, counter_.fetch_add(1));
}

Status StoreDir::to_trash(const std::string& path) const {
  auto moved = sys::renameat2(AT_FDCWD, path, AT_FDCWD, temporary_path("trash"));
  if (!moved.has_value() && moved.error().kind() == Kind::not_found) return ok();
  return moved;
}

void StoreDir::empty_trash() const {
  const auto entries = sys::list_dir(lock_.get());
  if (!entries.has_value()) return;
  for (const auto& entry : entries.value())
    if (entry.name.starts_with(kTrash)) (void)remove_tree(lock_.get(), entry.name);
}

Status sync_directory(const std::string& path) {
  const auto fd = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  return sys::fsync(fd.get());
}

}  // namespace husk::images
