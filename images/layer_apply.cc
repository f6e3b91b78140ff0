#include "images/layer_apply.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/overlay_marks.h"

namespace husk::images {
namespace {

timespec time_of(const TarEntry& entry) {
  return {.tv_sec = static_cast<time_t>(entry.mtime), .tv_nsec = static_cast<long>(entry.mtime_ns)};
}

Status set_time(int fd, const TarEntry& entry) {
  const timespec times[2] = {time_of(entry), time_of(entry)};
  return sys::futimens(fd, times);
}

Status set_time_at(int parent, const std::string& name, const TarEntry& entry) {
  const timespec times[2] = {time_of(entry), time_of(entry)};
  return sys::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

// Creates at parent/name by `make`; when something of this layer stands there, it goes first: the
// last entry of a name wins. Returns whether something was replaced.
template <class Make>
Result<bool> create_or_replace(LayerTree& tree, const LayerTree::Directory& parent, const std::string& name, Make&& make) {
  // A noted hard link has no file yet, but counts as one.
  if (!tree.links_.empty()) tree.links_.erase(parent.child(name));
  auto made = make();
  if (made.has_value()) return false;
  if (made.error().os_errno() != EEXIST) return made.error();
  TRY(tree.clear(parent, name));
  TRY(make());
  return true;
}

}  // namespace

void LayerApply::count(std::uint64_t data_bytes) {
  ++usage_.inodes;
  usage_.bytes += (data_bytes + 4095) / 4096 * 4096;
}

Status LayerApply::entry(const TarEntry& entry) {
  current_ = entry;
  return apply(entry).during(format_text("tar entry {} at byte {}", quote(entry.name), entry.offset));
}

Status LayerApply::apply(const TarEntry& entry) {
  auto parts = TRY(parse_entry_path(entry.name, limits_));
  if (parts.empty()) return apply_root(entry);
  const auto name = parts.back();
  parts.pop_back();
  for (const auto& part : parts) {
    if (part.starts_with(kAufsPrefix)) return ok();
    if (part.starts_with(kWhiteoutPrefix))
      return Error{Kind::invalid, "an entry lies below a whiteout"}.hint("names that start with .wh. are reserved (image-spec layer.md)");
  }
  const bool marker = name.starts_with(kWhiteoutPrefix);
  if (marker && name.starts_with(kAufsPrefix) && name != kOpaqueMarker) return ok();
  if (entry.type == TarType::hard_link && !marker) return make_hard_link(parts, name, entry);
  const auto* parent = TRY(tree_->make_parent(parts, time_of(entry)));
  if (marker) return apply_whiteout(*parent, name);
  switch (entry.type) {
    case TarType::file: return make_file(*parent, name);
    case TarType::directory: return make_directory(*parent, name, entry);
    case TarType::symlink: return make_symlink(*parent, name, entry);
    default: return make_node(*parent, name, entry);
  }
}

Status LayerApply::apply_root(const TarEntry& entry) {
  if (entry.type != TarType::directory)  // CVE-2021-29136: the root as a symlink
    return Error{Kind::invalid, "the root of a layer must be a directory"};
  return set_directory_attributes(tree_->root(), "", entry);
}

Status LayerApply::apply_whiteout(const LayerTree::Directory& parent, const std::string& name) {
  if (name == kOpaqueMarker) return tree_->add_opaque(parent.path, parent.fd.get());
  const auto hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..")
    return Error{Kind::invalid, "a whiteout without a name"};
  return tree_->add_whiteout(parent, hidden);
}

Status LayerApply::make_file(const LayerTree::Directory& parent, const std::string& name) {
  const auto make = [&]() -> Status {
    file_ = TRY(sys::openat(parent.fd.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    return ok();
  };
  TRY(create_or_replace(*tree_, parent, name, make));
  count(current_.size);
  return ok();
}

Status LayerApply::data(std::string_view bytes) {
  if (!file_.is_open()) return ok();
  return sys::write_all(file_.get(), bytes).during(format_text("tar entry {}", quote(current_.name)));
}

Status LayerApply::end_of_entry() {
  if (!file_.is_open()) return ok();
  const UniqueFd file = std::move(file_);
  const auto finish = [&]() -> Status {
    // chown clears set-id bits and file capabilities, so it comes first and the capability last
    // (man 2 chown; man 7 capabilities).
    TRY(sys::fchown(file.get(), current_.uid, current_.gid));
    TRY(sys::fchmod(file.get(), current_.mode));
    if (!current_.xattrs.empty()) TRY(set_xattrs(file.get(), current_));
    return set_time(file.get(), current_);
  };
  return finish().during(format_text("tar entry {} at byte {}", quote(current_.name), current_.offset));
}

Status LayerApply::set_xattr(int fd, const std::string& name, const std::string& value) {
  if (!may_pass_xattr(name)) {
    ++dropped_xattrs_;
    return ok();
  }
  auto set = sys::fsetxattr(fd, name, value);
  if (set.has_value()) return ok();
  // A file system without user attributes or ACLs loses them, as with every peer. A lost capability
  // would break the program, so it fails.
  if (set.error().os_errno() == EOPNOTSUPP && name != kCapabilityXattr) {
    ++dropped_xattrs_;
    return ok();
  }
  return set;
}

Status LayerApply::set_xattrs(int fd, const TarEntry& entry) {
  const std::string* capability = nullptr;
  for (const auto& [name, value] : entry.xattrs) {
    if (name == kCapabilityXattr) capability = &value;
    else TRY(set_xattr(fd, name, value));
  }
  return capability == nullptr ? ok() : set_xattr(fd, kCapabilityXattr, *capability);
}

Status LayerApply::set_directory_attributes(int fd, const std::string& path, const TarEntry& entry) {
  TRY(sys::fchown(fd, entry.uid, entry.gid));
  TRY(sys::fchmod(fd, entry.mode));
  tree_->default_acls_.erase(path);
  std::size_t acl_bytes = 0;
  for (const auto& [name, value] : entry.xattrs) {
    if (name == kDefaultAclXattr) acl_bytes = (tree_->default_acls_[path] = value).size();
    else TRY(set_xattr(fd, name, value));
  }
  TRY(tree_->take_note(path, acl_bytes));
  tree_->implied_.erase(path);
  tree_->directory_times_[path] = time_of(entry);
  return ok();
}

Status LayerApply::make_directory(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry) {
  const auto path = parent.child(name);
  const bool was_link = tree_->links_.erase(path) > 0;
  bool replaced = was_link;
  auto made = sys::mkdirat(parent.fd.get(), name, 0700);
  if (!made.has_value()) {
    if (made.error().os_errno() != EEXIST) return made;
    const auto info = TRY(sys::fstatat(parent.fd.get(), name, AT_SYMLINK_NOFOLLOW));
    if (!S_ISDIR(info.st_mode)) {
      TRY(tree_->clear(parent, name));
      TRY(sys::mkdirat(parent.fd.get(), name, 0700));
      replaced = true;
    }
  }
  const auto fd = TRY(sys::openat(parent.fd.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (made.has_value() || replaced) count(4096);
  TRY(set_directory_attributes(fd.get(), path, entry));
  return replaced ? tree_->add_new_over_removed(path, fd.get()) : ok();
}

Status LayerApply::make_symlink(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry) {
  if (entry.link.empty()) return Error{Kind::invalid, "a symlink without a target"};
  TRY(create_or_replace(*tree_, parent, name, [&] { return sys::symlinkat(entry.link, parent.fd.get(), name); }));
  TRY(sys::fchownat(parent.fd.get(), name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW));
  count(0);
  return set_time_at(parent.fd.get(), name, entry);
}

Status LayerApply::make_node(const LayerTree::Directory& parent, const std::string& name, const TarEntry& entry) {
  const bool fifo = entry.type == TarType::fifo;
  // Overlayfs reads a character device 0/0 as a whiteout, so that is what it becomes (as with peers).
  if (entry.type == TarType::char_device && entry.device_major == 0 && entry.device_minor == 0)
    return tree_->add_whiteout(parent, name);
  const mode_t kind = fifo ? S_IFIFO : entry.type == TarType::char_device ? S_IFCHR : S_IFBLK;
  const dev_t device = fifo ? 0 : makedev(entry.device_major, entry.device_minor);
  const auto make = [&] { return sys::mknodat(parent.fd.get(), name, kind | 0600U, device); };
  TRY(create_or_replace(*tree_, parent, name, make).hint("device nodes need CAP_MKNOD in the initial user namespace"));
  TRY(sys::fchownat(parent.fd.get(), name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW));
  TRY(sys::fchmodat(parent.fd.get(), name, entry.mode));  // made right here: no symlink can be in its place
  count(0);
  return set_time_at(parent.fd.get(), name, entry);
}

Status LayerApply::make_hard_link(const Components& parents, const std::string& name, const TarEntry& entry) {
  auto target = TRY(parse_entry_path(entry.link, limits_));
  if (target.empty()) return Error{Kind::invalid, "a hard link to the root"};
  const auto target_name = target.back();
  const auto target_text = join_path(target);
  target.pop_back();
  const auto target_parent = TRY(tree_->find_parent(target));
  const auto* parent = TRY(tree_->make_parent(parents, time_of(entry)));
  const auto path = parent->child(name);
  const auto target_path = target_parent.has_value() ? target_parent->child(target_name) : target_text;
  if (path == target_path) return Error{Kind::invalid, "a hard link to itself"};
  const auto noted = tree_->links_.find(target_path);
  const auto later = noted != tree_->links_.end() ? noted->second : target_path;
  const auto info = !target_parent.has_value() ? Result<struct stat>{Error{Kind::not_found, "", ENOENT}}
                                               : sys::fstatat(target_parent->fd.get(), target_name, AT_SYMLINK_NOFOLLOW);
  if (info.has_value() && is_whiteout(info.value()))
    return Error{Kind::invalid, format_text("hard link to {}, which this layer removes", quote(entry.link))};
  if (info.has_value() && S_ISDIR(info.value().st_mode))
    return Error{Kind::invalid, format_text("hard link to {}, which is a directory", quote(entry.link))};
  if (!info.has_value()) {
    if (info.error().os_errno() != ENOENT) return info.error();
    TRY(tree_->clear(*parent, name));
    TRY(tree_->take_note(path, later.size()));
    tree_->links_[path] = later;
    return ok();
  }
  // Flags 0: a link to a symlink is a second name of the symlink, never of what it points to.
  const auto make = [&] { return sys::linkat(target_parent->fd.get(), target_name, parent->fd.get(), name, 0); };
  TRY(create_or_replace(*tree_, *parent, name, make));
  return ok();
}

}  // namespace husk::images
