#include "rootfs/copy_up.h"

#include <errno.h>

#include <array>
#include <span>
#include <string>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace husk::rootfs {
namespace {

constexpr int kMaxDepth = 128;  // each level holds two descriptors

Status copy_tree(int from, int to, int depth);

Status copy_bytes(int from, int to) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const auto length = TRY(sys::read_some(from, buffer));
    if (length == 0) return ok();
    TRY(sys::write_all(to, {buffer.data(), length}));
  }
}

// tmpfs has no user.* before kernel 6.6, and a user namespace may not set trusted.*: what cannot be
// carried over is left out, as cp -a does.
Status copy_xattrs(int from, int to) {
  const auto names = sys::flistxattr(from);
  if (!names.has_value()) return ok();
  for (const auto& name : names.value()) {
    const auto value = sys::fgetxattr(from, name);
    if (!value.has_value()) continue;
    auto set = sys::fsetxattr(to, name, value.value());
    if (set.has_value() || set.error().kind() == Kind::unsupported || set.error().os_errno() == EPERM) continue;
    return set;
  }
  return ok();
}

// Owner first: chown clears set-user-ID bits. Times last: everything else changes them.
Status copy_attributes(int from, int to, const struct stat& info) {
  TRY(sys::fchown(to, info.st_uid, info.st_gid));
  TRY(copy_xattrs(from, to));
  TRY(sys::fchmod(to, info.st_mode & 07777));
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  return sys::futimens(to, times);
}

Status copy_file(int from_dir, int to_dir, const std::string& name) {
  // O_NONBLOCK: the name may have become a FIFO since it was looked at.
  const auto from = TRY(sys::openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  const auto info = TRY(sys::fstat(from.get()));
  if (!S_ISREG(info.st_mode)) return Error{Kind::busy, format_text("{} changed while it was copied", quote(name))};
  const auto to = TRY(sys::openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(copy_bytes(from.get(), to.get()));
  return copy_attributes(from.get(), to.get(), info);
}

Status copy_directory(int from_dir, int to_dir, const std::string& name, int depth) {
  const auto from = TRY(sys::openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const auto info = TRY(sys::fstat(from.get()));
  TRY(sys::mkdirat(to_dir, name, 0700));
  const auto to = TRY(sys::openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(copy_tree(from.get(), to.get(), depth));
  return copy_attributes(from.get(), to.get(), info);
}

// Symbolic links, FIFOs, sockets and device nodes: made anew, never opened.
Status copy_node(int from_dir, int to_dir, const std::string& name, const struct stat& info) {
  if (S_ISLNK(info.st_mode)) {
    const auto target = TRY(sys::readlinkat(from_dir, name));
    TRY(sys::symlinkat(target, to_dir, name));
  } else {
    TRY(sys::mknodat(to_dir, name, info.st_mode, info.st_rdev));
  }
  TRY(sys::fchownat(to_dir, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW));
  if (!S_ISLNK(info.st_mode)) TRY(sys::fchmodat(to_dir, name, info.st_mode & 07777));
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  return sys::utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
}

Status copy_entry(int from_dir, int to_dir, const std::string& name, int depth) {
  const auto info = TRY(sys::fstatat(from_dir, name, AT_SYMLINK_NOFOLLOW));
  if (S_ISDIR(info.st_mode)) return copy_directory(from_dir, to_dir, name, depth + 1);
  if (S_ISREG(info.st_mode)) return copy_file(from_dir, to_dir, name);
  return copy_node(from_dir, to_dir, name, info);
}

Status copy_tree(int from, int to, int depth) {
  if (depth > kMaxDepth) return Error{Kind::invalid, format_text("directories are nested deeper than {}", kMaxDepth)};
  const auto entries = TRY(sys::list_dir(from));
  for (const auto& entry : entries) {
    auto done = copy_entry(from, to, entry.name, depth);
    if (!done.has_value()) return std::move(done).error().during(format_text("copy {}", quote(entry.name)));
  }
  return ok();
}

}  // namespace

Status copy_up(int from, int to) {
  const auto source = TRY(sys::openat(from, ".", O_RDONLY | O_DIRECTORY));
  return copy_tree(source.get(), to, 0);
}

}  // namespace husk::rootfs
