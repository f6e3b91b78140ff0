#include "images/layer_settle.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::images {
namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// True when this layer hides the whole lower directory in which `path` lies.
bool is_parent_hidden(const LayerTree& tree, const std::string& path) {
  return !path.empty() && tree.is_hidden_by_opaque(parent_of(path));
}

Status settle_root_marker(LayerTree& tree, const MergedView& lower) {
  if (!tree.opaque_.contains("")) return ok();
  const auto root = TRY(tree.open_directory(""));
  const auto names = TRY(lower.list(""));
  for (const auto& name : names) {
    const auto info = sys::fstatat(root.get(), name, AT_SYMLINK_NOFOLLOW);
    if (!info.has_value()) {
      if (info.error().os_errno() != ENOENT) return info.error();
      if (!tree.links_.contains(name)) TRY(make_whiteout(root.get(), name));
    } else if (S_ISDIR(info.value().st_mode)) {
      const auto directory = TRY(tree.open_directory(name));
      TRY(mark_opaque(directory.get()));
    }
  }
  return ok();
}

Status settle_whiteouts(LayerTree& tree, const MergedView& lower) {
  for (const auto& path : tree.whiteouts_) {
    const auto found = TRY(lower.find(path));
    if (found.has_value()) continue;
    // A whiteout of nothing would be listed as a device where the directory is not merged.
    const auto parent = TRY(tree.open_directory(parent_of(path)));
    TRY(sys::unlinkat(parent.get(), name_of(path)));
  }
  return ok();
}

Status settle_implied(LayerTree& tree, const MergedView& lower, LayerUsage& usage) {
  for (const auto& [path, cause_time] : tree.implied_) {
    if (!path.empty()) {
      ++usage.inodes;
      usage.bytes += 4096;
    }
    tree.directory_times_[path] = cause_time;
    if (is_parent_hidden(tree, path)) continue;
    const auto found = TRY(lower.find(path));
    if (!found.has_value() || !S_ISDIR(found->info.st_mode)) continue;
    auto attributes = TRY(read_attributes(*found));
    for (auto item = attributes.xattrs.begin(); item != attributes.xattrs.end(); ++item) {
      if (item->first != kDefaultAclXattr) continue;
      tree.default_acls_[path] = item->second;
      attributes.xattrs.erase(item);
      break;
    }
    const auto fd = TRY(tree.open_directory(path));
    TRY(copy_directory_attributes(fd.get(), attributes));
    tree.directory_times_[path] = found->info.st_mtim;
  }
  return ok();
}

Status copy_data(int from, int to) {
  // FICLONE takes the source descriptor itself as argument (man 2 ioctl_ficlone).
  if (sys::ioctl(to, FICLONE, reinterpret_cast<void*>(static_cast<std::intptr_t>(from)), "FICLONE").has_value())  // NOLINT
    return ok();
  std::string block(1U << 20U, '\0');
  for (;;) {
    const auto got = TRY(sys::read_some(from, block));
    if (got == 0) return ok();
    TRY(sys::write_all(to, std::string_view{block}.substr(0, got)));
  }
}

// The lower file again, as parent/name of this layer.
Status copy_up(const MergedView::Found& from, int parent, const std::string& name) {
  const auto& info = from.info;
  const auto attributes = TRY(read_attributes(from));
  const timespec times[2] = {info.st_mtim, info.st_mtim};
  if (S_ISREG(info.st_mode)) {
    const auto source = TRY(sys::openat(from.parent.get(), from.name, O_RDONLY | O_NOFOLLOW));
    const auto target = TRY(sys::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    TRY(copy_data(source.get(), target.get()));
    TRY(sys::fchown(target.get(), info.st_uid, info.st_gid));
    TRY(sys::fchmod(target.get(), info.st_mode & 07777));
    for (const auto& [key, value] : attributes.xattrs) TRY(sys::fsetxattr(target.get(), key, value));
    return sys::futimens(target.get(), times);
  }
  if (S_ISLNK(info.st_mode)) {
    const auto text = TRY(sys::readlinkat(from.parent.get(), from.name));
    TRY(sys::symlinkat(text, parent, name));
  } else {
    TRY(sys::mknodat(parent, name, info.st_mode, info.st_rdev));
  }
  TRY(sys::fchownat(parent, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW));
  if (!S_ISLNK(info.st_mode)) TRY(sys::fchmodat(parent, name, info.st_mode & 07777));
  return sys::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

struct FirstName {  // of the copy of a lower file: further links go to it
  std::string path;
};

Status settle_link(LayerTree& tree, const MergedView& lower, const std::string& path, const std::string& target,
                   std::map<std::string, FirstName>& copies, LayerUsage& usage) {
  auto first = copies.find(target);
  if (first == copies.end()) {
    const auto found = TRY(lower.find(target));
    if (!found.has_value() || is_parent_hidden(tree, target))
      return Error{Kind::invalid, format_text("hard link {} to {}, which does not exist", quote(path), quote(target))};
    if (S_ISDIR(found->info.st_mode))
      return Error{Kind::invalid, format_text("hard link {} to {}, which is a directory", quote(path), quote(target))};
    // The copy stands under the target's own name too, so that both names stay one file, unless this
    // layer puts something else there.
    auto parts = split_path(target);
    const auto name = parts.back();
    parts.pop_back();
    const auto* parent = TRY(tree.make_parent(parts, found->info.st_mtim));
    const auto own = sys::fstatat(parent->fd.get(), name, AT_SYMLINK_NOFOLLOW);
    const auto at = own.has_value() || parent->child(name) != target ? path : target;
    const auto place = TRY(tree.open_directory(parent_of(at)));
    TRY(copy_up(*found, place.get(), name_of(at)));
    ++usage.inodes;
    usage.bytes += static_cast<std::uint64_t>(found->info.st_blocks) * 512;
    first = copies.emplace(target, FirstName{at}).first;
    if (at == path) return ok();
  }
  const auto from = TRY(tree.open_directory(parent_of(first->second.path)));
  const auto to = TRY(tree.open_directory(parent_of(path)));
  return sys::linkat(from.get(), name_of(first->second.path), to.get(), name_of(path), 0);
}

Status settle_times(LayerTree& tree) {
  for (const auto& [path, value] : tree.default_acls_) {
    const auto fd = TRY(tree.open_directory(path));
    auto set = sys::fsetxattr(fd.get(), kDefaultAclXattr, value);
    if (!set.has_value() && set.error().os_errno() != EOPNOTSUPP) return set;
  }
  for (const auto& [path, time] : tree.directory_times_) {
    const auto fd = TRY(tree.open_directory(path));
    const timespec times[2] = {time, time};
    TRY(sys::futimens(fd.get(), times));
  }
  return ok();
}

}  // namespace

Status copy_directory_attributes(int directory, const Attributes& from) {
  TRY(sys::fchown(directory, from.info.st_uid, from.info.st_gid));
  TRY(sys::fchmod(directory, from.info.st_mode & 07777));
  for (const auto& [name, value] : from.xattrs) TRY(sys::fsetxattr(directory, name, value));
  return ok();
}

Status settle_layer(LayerTree& tree, const MergedView& lower, LayerUsage& usage) {
  TRY(settle_root_marker(tree, lower));
  TRY(settle_whiteouts(tree, lower));
  // First the links: a copy may imply further directories.
  std::map<std::string, FirstName> copies;
  for (const auto& [path, target] : std::map{tree.links_}) {
    tree.links_.erase(path);
    TRY(settle_link(tree, lower, path, target, copies, usage));
  }
  TRY(settle_implied(tree, lower, usage));
  return settle_times(tree);
}

}  // namespace husk::images
