#include "images/layer_tree.h"

#include <errno.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxSymlinks = 40;  // as the kernel, man 7 path_resolution
constexpr std::size_t kMaxOneCall = 4000;

Error not_a_directory(const std::string& path) {
  return Error{Kind::invalid, format_text("{} is not a directory but has entries below it", quote(path))};
}

template <class Container>
void erase_below(Container& items, const std::string& path) {
  items.erase(path);
  // '0' follows '/': everything that starts with "path/".
  items.erase(items.lower_bound(path + "/"), items.lower_bound(path + "0"));
}

}  // namespace

Result<UniqueFd> LayerTree::open_directory(const std::string& path) const {
  if (path.empty()) return sys::openat(root_.get(), ".", kOpenDirectory);
  if (path.size() < kMaxOneCall) {
    open_how how{};
    how.flags = kOpenDirectory | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    return sys::openat2(root_.get(), path, how);
  }
  // Longer than PATH_MAX: step by step.
  auto current = TRY(sys::openat(root_.get(), ".", kOpenDirectory));
  for (const auto& part : split_path(path)) current = TRY(sys::openat(current.get(), part, kOpenDirectory));
  return current;
}

Status LayerTree::take_note(const std::string& path, std::size_t more_bytes) {
  constexpr std::size_t kNode = 128;  // what a map spends on one, about
  note_bytes_ += kNode + path.size() + more_bytes;
  if (note_bytes_ <= max_note_bytes_) return ok();
  return Error{Kind::exhausted, format_text("the names of the layer's directories, links and whiteouts take more than {} bytes",
                                            max_note_bytes_)}
      .hint("this looks like a bomb of nested directories");
}

Result<const LayerTree::Directory*> LayerTree::make_parent(const Components& parents, timespec cause_time) {
  const auto key = join_path(parents);
  if (has_last_ && last_key_ == key) return &last_;
  has_last_ = false;
  auto direct = open_directory(key);
  if (direct.has_value()) {
    last_ = {.fd = std::move(direct).value(), .path = key};
  } else {
    auto walked = TRY(walk(parents, true, cause_time));
    require(walked.has_value(), "a walk that makes directories ends in one");
    last_ = std::move(*walked);
  }
  last_key_ = key;
  has_last_ = true;
  return &last_;
}

Result<std::optional<LayerTree::Directory>> LayerTree::find_parent(const Components& parents) {
  return walk(parents, false, {});
}

Result<UniqueFd> LayerTree::make_directory(int parent, const std::string& name, const std::string& path,
                                           timespec cause_time) {
  TRY(take_note(path));
  TRY(sys::mkdirat(parent, name, 0755));
  auto fd = TRY(sys::openat(parent, name, kOpenDirectory));
  TRY(sys::fchmod(fd.get(), 0755));  // whatever the umask
  implied_[path] = cause_time;
  return fd;
}

Result<std::optional<LayerTree::Directory>> LayerTree::walk(Components parts, bool make, timespec cause_time) {
  Directory at{.fd = TRY(sys::openat(root_.get(), ".", kOpenDirectory)), .path = ""};
  int symlinks = 0;
  for (std::size_t next = 0; next < parts.size();) {
    const auto name = parts[next];
    const auto path = at.child(name);
    auto fd = sys::openat(at.fd.get(), name, kOpenDirectory);
    if (!fd.has_value() && fd.error().os_errno() == ENOENT) {
      if (!make) return std::optional<Directory>{};
      if (links_.contains(path)) return not_a_directory(path);
      fd = make_directory(at.fd.get(), name, path, cause_time);
    } else if (!fd.has_value()) {
      const auto info = TRY(sys::fstatat(at.fd.get(), name, AT_SYMLINK_NOFOLLOW));
      if (is_whiteout(info)) {
        if (!make) return std::optional<Directory>{};
        TRY(clear(at, name));
        fd = make_directory(at.fd.get(), name, path, cause_time);
        if (fd.has_value()) TRY(add_new_over_removed(path, fd.value().get()));
      } else if (S_ISLNK(info.st_mode)) {
        if (++symlinks > kMaxSymlinks)
          return Error{Kind::invalid, format_text("more than {} symlinks on the way to {}", kMaxSymlinks, quote(path))};
        const auto target = TRY(sys::readlinkat(at.fd.get(), name));
        Components rest = target.starts_with('/') ? Components{} : split_path(at.path);
        for (const auto part : split(target, '/')) {
          if (part == ".." && !rest.empty()) rest.pop_back();  // ".." of the root is the root
          if (!part.empty() && part != "." && part != "..") rest.emplace_back(part);
        }
        rest.insert(rest.end(), parts.begin() + static_cast<std::ptrdiff_t>(next) + 1, parts.end());
        parts = std::move(rest);
        at = {.fd = TRY(sys::openat(root_.get(), ".", kOpenDirectory)), .path = ""};
        next = 0;
        continue;
      } else {
        return not_a_directory(path);
      }
    }
    if (!fd.has_value()) return fd.error();
    at = {.fd = std::move(fd).value(), .path = path};
    ++next;
  }
  return std::optional<Directory>{std::move(at)};
}

void LayerTree::forget(const std::string& path) {
  erase_below(implied_, path);
  erase_below(directory_times_, path);
  erase_below(default_acls_, path);
  erase_below(links_, path);
  erase_below(whiteouts_, path);
  erase_below(opaque_, path);
}

Result<bool> LayerTree::clear(const Directory& parent, const std::string& name) {
  const auto path = parent.child(name);
  const bool linked = links_.contains(path);
  forget(path);
  has_last_ = false;  // it may have been found through what goes now; `parent` stays valid
  const auto gone = sys::unlinkat(parent.fd.get(), name);
  if (gone.has_value()) return true;
  if (gone.error().os_errno() == ENOENT) return linked;
  if (gone.error().os_errno() != EISDIR) return gone.error();
  TRY(remove_tree(parent.fd.get(), name));
  return true;
}

Status LayerTree::add_whiteout(const Directory& parent, const std::string& name) {
  const auto path = parent.child(name);
  if (is_hidden_by_opaque(parent.path) || whiteouts_.contains(path)) return ok();
  const auto info = sys::fstatat(parent.fd.get(), name, AT_SYMLINK_NOFOLLOW);
  if (info.has_value() && !S_ISDIR(info.value().st_mode)) return ok();  // our own file hides it already
  if (info.has_value()) {
    const auto directory = TRY(sys::openat(parent.fd.get(), name, kOpenDirectory));
    return add_new_over_removed(path, directory.get());
  }
  if (links_.contains(path)) return ok();
  TRY(take_note(path));
  TRY(make_whiteout(parent.fd.get(), name));
  whiteouts_.insert(path);
  return ok();
}

Status LayerTree::add_new_over_removed(const std::string& path, int directory) {
  // The lower directory is gone, so an implied one has no attributes to take over.
  if (const auto implied = implied_.find(path); implied != implied_.end()) {
    directory_times_[path] = implied->second;
    implied_.erase(implied);
  }
  return add_opaque(path, directory);
}

Status LayerTree::add_opaque(const std::string& path, int directory) {
  // An opaque directory is listed without merging, and then whiteouts in it would be shown. The same
  // holds for everything below it.
  // Only what starts with "path/" is looked at ('0' follows '/'): a layer may hold a million of both.
  auto item = path.empty() ? whiteouts_.begin() : whiteouts_.lower_bound(path + "/");
  const auto end = path.empty() ? whiteouts_.end() : whiteouts_.lower_bound(path + "0");
  while (item != end) {
    const auto slash = item->rfind('/');
    const auto above = slash == std::string::npos ? std::string{} : item->substr(0, slash);
    const auto parent = TRY(open_directory(above));
    TRY(sys::unlinkat(parent.get(), item->substr(slash == std::string::npos ? 0 : slash + 1)));
    item = whiteouts_.erase(item);
  }
  TRY(take_note(path));
  opaque_.insert(path);
  // The kernel does not look at the mark on a layer's root: settle() hides each child instead.
  return path.empty() ? ok() : mark_opaque(directory);
}

bool LayerTree::is_hidden_by_opaque(const std::string& path) const {
  if (opaque_.empty()) return false;
  for (auto part = path;;) {
    if (opaque_.contains(part)) return true;
    if (part.empty()) return false;
    const auto slash = part.rfind('/');
    part.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace husk::images
