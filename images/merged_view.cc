#include "images/merged_view.h"

#include <errno.h>

#include <set>

#include "base/format.h"
#include "base/sys.h"
#include "images/entry_path.h"

namespace husk::images {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

}  // namespace

Result<MergedView> MergedView::open(const std::vector<std::string>& directories) {
  MergedView view;
  for (const auto& path : directories) view.layers_.push_back(TRY(sys::openat(AT_FDCWD, path, kOpenDirectory)));
  return view;
}

Result<MergedView::Step> MergedView::step(const Stack& parents, const std::string& name) const {
  Step next;
  for (const auto& parent : parents) {
    const auto info = sys::fstatat(parent.get(), name, AT_SYMLINK_NOFOLLOW);
    if (!info.has_value()) {
      if (info.error().os_errno() == ENOENT) continue;
      return info.error();
    }
    if (is_whiteout(info.value())) break;
    const bool directory = S_ISDIR(info.value().st_mode);
    if (!directory && next.top.has_value()) break;  // a directory above hides it
    if (!next.top.has_value())
      next.top = Found{.parent = TRY(sys::dup_cloexec(parent.get())), .name = name, .info = info.value()};
    if (!directory) break;
    next.directories.push_back(TRY(sys::openat(parent.get(), name, kOpenDirectory)));
    const bool opaque = TRY(is_opaque(next.directories.back().get()));
    if (opaque) break;
  }
  return next;
}

Result<std::optional<MergedView::Step>> MergedView::walk(const std::string& path) const {
  std::optional<Step> at;
  for (const auto& part : split_path(path)) {
    auto next = TRY(step(at.has_value() ? at->directories : layers_, part));
    if (!next.top.has_value()) return std::optional<Step>{};
    at = std::move(next);
  }
  return at;
}

Result<std::optional<MergedView::Found>> MergedView::find(const std::string& path) const {
  if (path.empty()) {
    if (layers_.empty()) return std::optional<Found>{};
    const auto info = TRY(sys::fstat(layers_.front().get()));
    return std::optional<Found>{Found{.parent = TRY(sys::dup_cloexec(layers_.front().get())), .name = ".", .info = info}};
  }
  auto found = TRY(walk(path));
  if (!found.has_value()) return std::optional<Found>{};
  return std::move(found->top);
}

Result<std::vector<std::string>> MergedView::list(const std::string& path) const {
  std::optional<Step> found;
  if (!path.empty()) {
    found = TRY(walk(path));
    if (!found.has_value()) return std::vector<std::string>{};
  }
  std::set<std::string> names;
  std::set<std::string> removed;
  for (const auto& directory : found.has_value() ? found->directories : layers_) {
    const auto entries = TRY(sys::list_dir(directory.get()));
    for (const auto& entry : entries) {
      if (removed.contains(entry.name) || names.contains(entry.name)) continue;
      const auto info = TRY(sys::fstatat(directory.get(), entry.name, AT_SYMLINK_NOFOLLOW));
      (is_whiteout(info) ? removed : names).insert(entry.name);
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<Attributes> read_attributes(const MergedView::Found& found) {
  Attributes attributes{.info = found.info};
  if (S_ISREG(found.info.st_mode) || S_ISDIR(found.info.st_mode)) {
    const auto fd = TRY(sys::openat(found.parent.get(), found.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    attributes.xattrs = TRY(read_xattrs(fd.get()));
    return attributes;
  }
  attributes.xattrs = TRY(read_xattrs_of(format_text("/proc/self/fd/{}/{}", found.parent.get(), found.name)));
  return attributes;
}

}  // namespace husk::images
