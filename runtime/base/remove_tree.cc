#include <errno.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk {
namespace {

// A directory on the way down. A container can nest directories deeper than any limit on descriptors
// or on the stack, so only the innermost one is open; the others are found again through "..".
struct Level {
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> left;  // entries not yet removed
};

bool is_done(const Status& status) { return status.has_value() || status.error().kind() == Kind::not_found; }
bool may_be_directory(const Status& status) {
  return status.error().os_errno() == EISDIR || status.error().os_errno() == EPERM;
}

struct Place {
  UniqueFd parent;
  std::string name;
};
Result<Place> find_place(int dirfd, std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto slash = path.rfind('/');
  const std::string name{slash == std::string_view::npos ? path : path.substr(slash + 1)};
  if (name.empty() || name == "." || name == "..")
    return Error{Kind::invalid, format_text("remove tree {}: does not end in a name", quote(path))};
  const std::string parent{slash == std::string_view::npos ? "." : path.substr(0, slash + 1)};
  return Place{.parent = TRY(sys::openat(dirfd, parent, O_PATH | O_DIRECTORY)), .name = name};
}

// RESOLVE_NO_XDEV: what is mounted in the tree belongs to someone else and must survive.
Result<UniqueFd> enter(int dirfd, const std::string& name, std::vector<Level>& levels) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  auto fd = sys::openat2(dirfd, name, how);
  if (!fd.has_value() && fd.error().os_errno() == EXDEV)
    return Error{Kind::busy, format_text("remove tree: {} is a mount point", quote(name)), EBUSY};
  if (!fd.has_value()) return fd;
  const auto info = TRY(sys::fstat(fd.value().get()));
  Level level{.name = name, .device = info.st_dev, .inode = info.st_ino, .left = {}};
  for (auto& entry : TRY(sys::list_dir(fd.value().get()))) level.left.push_back(std::move(entry.name));
  levels.push_back(std::move(level));
  return fd;
}

// The parent of `fd`, which must still be the directory that we came from.
Result<UniqueFd> leave(int fd, const Level& parent) {
  auto up = TRY(sys::openat(fd, "..", O_RDONLY | O_DIRECTORY));
  const auto info = TRY(sys::fstat(up.get()));
  if (info.st_dev != parent.device || info.st_ino != parent.inode)
    return Error{Kind::busy, format_text("remove tree: {} was moved meanwhile", quote(parent.name))};
  return up;
}

// Removes what is in levels.back(), down to the bottom, until levels is empty again.
Status remove_levels(const Place& place, UniqueFd current, std::vector<Level> levels) {
  while (!levels.empty()) {
    if (!levels.back().left.empty()) {
      const std::string name = std::move(levels.back().left.back());
      levels.back().left.pop_back();
      auto removed = sys::unlinkat(current.get(), name);
      if (is_done(removed)) continue;
      if (!may_be_directory(removed)) return removed;
      auto child = enter(current.get(), name, levels);
      if (child.has_value()) current = std::move(child).value();
      else if (child.error().os_errno() == ENOTDIR) return removed;  // EPERM spoke of a file
      else if (child.error().kind() != Kind::not_found) return std::move(child).error();
      continue;
    }
    const std::string name = std::move(levels.back().name);
    levels.pop_back();
    if (!levels.empty()) current = TRY(leave(current.get(), levels.back()));
    auto gone = sys::unlinkat(levels.empty() ? place.parent.get() : current.get(), name, AT_REMOVEDIR);
    if (!is_done(gone)) return gone;
  }
  return ok();
}

}  // namespace

Status remove_tree(int dirfd, const std::string& path) {
  auto removed = sys::unlinkat(dirfd, path);
  if (is_done(removed)) return ok();
  if (!may_be_directory(removed)) return removed;
  const auto place = TRY(find_place(dirfd, path));
  std::vector<Level> levels;
  auto top = enter(place.parent.get(), place.name, levels);
  if (!top.has_value() && top.error().kind() == Kind::not_found) return ok();
  if (!top.has_value() && top.error().os_errno() == ENOTDIR) return removed;
  if (!top.has_value()) return std::move(top).error();
  return remove_levels(place, std::move(top).value(), std::move(levels));
}

}  // namespace husk
