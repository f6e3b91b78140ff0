#include "base/sys.h"

#include <dirent.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "base/sys_check.h"
#include "base/text.h"

namespace husk::sys {

std::string fd_text(int fd) {
  if (fd == AT_FDCWD) return "cwd";
  std::array<char, 4096> target{};
  const auto length = ::readlink(format_text("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  if (length <= 0) return format_text("{}", fd);
  return format_text("{}<{}>", fd, std::string_view{target.data(), static_cast<std::size_t>(length)});
}

int saved_errno() { return errno; }

Error last_error(std::string call, int saved_errno) {
  return Error{kind_of_errno(saved_errno), std::move(call), saved_errno};
}

Result<UniqueFd> openat(int dirfd, const std::string& path, int flags, mode_t mode) {
  return fd_of(retry_eintr([&] { return ::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode); }), [&] {
    return dirfd == AT_FDCWD ? format_text("open({})", quote(path))
                             : format_text("openat({}, {})", fd_text(dirfd), quote(path));
  });
}

namespace {

long call_openat2(int dirfd, const std::string& path, const open_how& how) {
  open_how with_cloexec = how;
  with_cloexec.flags |= O_CLOEXEC;
  return retry_eintr([&] { return ::syscall(SYS_openat2, dirfd, path.c_str(), &with_cloexec, sizeof with_cloexec); });
}

std::string openat2_text(int dirfd, const std::string& path) {
  return format_text("openat2({}, {})", fd_text(dirfd), quote(path));
}

}  // namespace

Result<UniqueFd> openat2(int dirfd, const std::string& path, const open_how& how) {
  return fd_of(call_openat2(dirfd, path, how), [&] { return openat2_text(dirfd, path); });
}

Result<std::optional<UniqueFd>> find_openat2(int dirfd, const std::string& path, const open_how& how) {
  const auto fd = call_openat2(dirfd, path, how);
  if (!failed(fd)) return std::optional{UniqueFd{static_cast<int>(fd)}};
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<UniqueFd>{};
  return call_error([&] { return openat2_text(dirfd, path); });
}

Result<UniqueFd> dup_cloexec(int fd, int lowest) {
  return fd_of(::fcntl(fd, F_DUPFD_CLOEXEC, lowest), [&] { return format_text("fcntl({}, F_DUPFD_CLOEXEC)", fd_text(fd)); });
}

Status dup2_inherited(int fd, int target) {
  if (fd == target) return set_cloexec(fd, false);
  return status_of(::dup2(fd, target), [&] { return format_text("dup2({}, {})", fd_text(fd), target); });
}

Result<std::size_t> read_some(int fd, std::span<char> into) {
  const auto got = retry_eintr([&] { return ::read(fd, into.data(), into.size()); });
  if (failed(got)) return call_error([&] { return format_text("read({})", fd_text(fd)); });
  return static_cast<std::size_t>(got);
}

Result<std::size_t> pread_some(int fd, std::span<char> into, off_t offset) {
  const auto got = retry_eintr([&] { return ::pread(fd, into.data(), into.size(), offset); });
  if (failed(got)) return call_error([&] { return format_text("pread({}, offset {})", fd_text(fd), offset); });
  return static_cast<std::size_t>(got);
}

Result<std::size_t> write_some(int fd, std::string_view text) {
  const auto done = retry_eintr([&] { return ::write(fd, text.data(), text.size()); });
  if (failed(done)) return call_error([&] { return format_text("write({}, {} bytes)", fd_text(fd), text.size()); });
  return static_cast<std::size_t>(done);
}

Result<std::size_t> pwrite_some(int fd, std::string_view text, off_t offset) {
  const auto done = retry_eintr([&] { return ::pwrite(fd, text.data(), text.size(), offset); });
  if (failed(done)) return call_error([&] { return format_text("pwrite({}, {} bytes)", fd_text(fd), text.size()); });
  return static_cast<std::size_t>(done);
}

Status write_all(int fd, std::string_view text) {
  while (!text.empty()) text.remove_prefix(TRY(write_some(fd, text)));
  return ok();
}

Status mkdirat(int dirfd, const std::string& path, mode_t mode) {
  return status_of(::mkdirat(dirfd, path.c_str(), mode),
                   [&] { return format_text("mkdirat({}, {}, {:#o})", fd_text(dirfd), quote(path), mode); });
}

Status mknodat(int dirfd, const std::string& path, mode_t mode, dev_t device) {
  return status_of(::mknodat(dirfd, path.c_str(), mode, device),
                   [&] { return format_text("mknodat({}, {}, {:#o})", fd_text(dirfd), quote(path), mode); });
}

Status mkfifoat(int dirfd, const std::string& path, mode_t mode) {
  return status_of(::mkfifoat(dirfd, path.c_str(), mode),
                   [&] { return format_text("mkfifoat({}, {})", fd_text(dirfd), quote(path)); });
}

Status symlinkat(const std::string& target, int dirfd, const std::string& path) {
  return status_of(::symlinkat(target.c_str(), dirfd, path.c_str()),
                   [&] { return format_text("symlinkat({}, {}, {})", quote(target), fd_text(dirfd), quote(path)); });
}

Status linkat(int from_dir, const std::string& from, int to_dir, const std::string& to, int flags) {
  return status_of(::linkat(from_dir, from.c_str(), to_dir, to.c_str(), flags), [&] {
    return format_text("linkat({}, {}, {}, {})", fd_text(from_dir), quote(from), fd_text(to_dir), quote(to));
  });
}

Status unlinkat(int dirfd, const std::string& path, int flags) {
  return status_of(::unlinkat(dirfd, path.c_str(), flags),
                   [&] { return format_text("unlinkat({}, {})", fd_text(dirfd), quote(path)); });
}

Status renameat2(int from_dir, const std::string& from, int to_dir, const std::string& to, unsigned flags) {
  return status_of(::renameat2(from_dir, from.c_str(), to_dir, to.c_str(), flags), [&] {
    return format_text("renameat2({}, {}, {}, {})", fd_text(from_dir), quote(from), fd_text(to_dir), quote(to));
  });
}

Result<std::string> readlinkat(int dirfd, const std::string& path) {
  std::string target(4096, '\0');
  const auto length = ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
  if (failed(length)) return call_error([&] { return format_text("readlinkat({}, {})", fd_text(dirfd), quote(path)); });
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<struct stat> fstatat(int dirfd, const std::string& path, int flags) {
  struct stat info {};
  if (failed(::fstatat(dirfd, path.c_str(), &info, flags)))
    return call_error([&] { return format_text("fstatat({}, {})", fd_text(dirfd), quote(path)); });
  return info;
}

Result<struct stat> fstat(int fd) {
  struct stat info {};
  if (failed(::fstat(fd, &info))) return call_error([&] { return format_text("fstat({})", fd_text(fd)); });
  return info;
}

Result<struct statfs> fstatfs(int fd) {
  struct statfs info {};
  if (failed(::fstatfs(fd, &info))) return call_error([&] { return format_text("fstatfs({})", fd_text(fd)); });
  return info;
}

Result<std::uint64_t> mount_id(int dirfd, const std::string& path) {
  struct statx info {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (path.empty() ? AT_EMPTY_PATH : 0);
  if (failed(::statx(dirfd, path.c_str(), flags, STATX_MNT_ID, &info)))
    return call_error([&] { return format_text("statx({}, {})", fd_text(dirfd), quote(path)); });
  return info.stx_mnt_id;
}

Result<bool> is_mount_root(int dirfd, const std::string& path) {
  struct statx info {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (path.empty() ? AT_EMPTY_PATH : 0);
  if (failed(::statx(dirfd, path.c_str(), flags, STATX_TYPE, &info)))
    return call_error([&] { return format_text("statx({}, {})", fd_text(dirfd), quote(path)); });
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status fchmod(int fd, mode_t mode) {
  return status_of(::fchmod(fd, mode), [&] { return format_text("fchmod({}, {:#o})", fd_text(fd), mode); });
}

Status fchmodat(int dirfd, const std::string& path, mode_t mode) {
  return status_of(::fchmodat(dirfd, path.c_str(), mode, 0),
                   [&] { return format_text("fchmodat({}, {}, {:#o})", fd_text(dirfd), quote(path), mode); });
}

Status fchown(int fd, uid_t uid, gid_t gid) {
  return status_of(::fchown(fd, uid, gid), [&] { return format_text("fchown({}, {}, {})", fd_text(fd), uid, gid); });
}

Status fchownat(int dirfd, const std::string& path, uid_t uid, gid_t gid, int flags) {
  return status_of(::fchownat(dirfd, path.c_str(), uid, gid, flags),
                   [&] { return format_text("fchownat({}, {}, {}, {})", fd_text(dirfd), quote(path), uid, gid); });
}

Status utimensat(int dirfd, const std::string& path, const struct timespec times[2], int flags) {
  return status_of(::utimensat(dirfd, path.c_str(), times, flags),
                   [&] { return format_text("utimensat({}, {})", fd_text(dirfd), quote(path)); });
}

Status futimens(int fd, const struct timespec times[2]) {
  return status_of(::futimens(fd, times), [&] { return format_text("futimens({})", fd_text(fd)); });
}

namespace {

// Grows the buffer until the value fits: xattr calls with size 0 tell the size, which may change.
template <class Get, class Describe>
Result<std::string> read_xattr(Get&& get, Describe&& describe) {
  std::string value;
  for (;;) {
    const auto size = get(nullptr, 0);
    if (failed(size)) return call_error(describe);
    value.resize(static_cast<std::size_t>(size) + 1);
    const auto got = get(value.data(), value.size());
    if (failed(got) && errno == ERANGE) continue;
    if (failed(got)) return call_error(describe);
    value.resize(static_cast<std::size_t>(got));
    return value;
  }
}

std::vector<std::string> names_of(const std::string& list) {
  std::vector<std::string> names;
  for (const auto name : split(list, '\0'))
    if (!name.empty()) names.emplace_back(name);
  return names;
}

}  // namespace

Status fsetxattr(int fd, const std::string& name, std::string_view value, int flags) {
  return status_of(::fsetxattr(fd, name.c_str(), value.data(), value.size(), flags),
                   [&] { return format_text("fsetxattr({}, {})", fd_text(fd), quote(name)); });
}

Result<std::string> fgetxattr(int fd, const std::string& name) {
  return read_xattr([&](char* data, std::size_t size) { return ::fgetxattr(fd, name.c_str(), data, size); },
                    [&] { return format_text("fgetxattr({}, {})", fd_text(fd), quote(name)); });
}

Result<std::vector<std::string>> flistxattr(int fd) {
  const auto list = TRY(read_xattr([&](char* data, std::size_t size) { return ::flistxattr(fd, data, size); },
                                   [&] { return format_text("flistxattr({})", fd_text(fd)); }));
  return names_of(list);
}

Status lsetxattr(const std::string& path, const std::string& name, std::string_view value, int flags) {
  return status_of(::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags),
                   [&] { return format_text("lsetxattr({}, {})", quote(path), quote(name)); });
}

Result<std::string> lgetxattr(const std::string& path, const std::string& name) {
  return read_xattr(
      [&](char* data, std::size_t size) { return ::lgetxattr(path.c_str(), name.c_str(), data, size); },
      [&] { return format_text("lgetxattr({}, {})", quote(path), quote(name)); });
}

Result<std::vector<std::string>> llistxattr(const std::string& path) {
  const auto list =
      TRY(read_xattr([&](char* data, std::size_t size) { return ::llistxattr(path.c_str(), data, size); },
                     [&] { return format_text("llistxattr({})", quote(path)); }));
  return names_of(list);
}

Status ftruncate(int fd, off_t size) {
  return status_of(::ftruncate(fd, size), [&] { return format_text("ftruncate({}, {})", fd_text(fd), size); });
}

Status fsync(int fd) {
  return status_of(::fsync(fd), [&] { return format_text("fsync({})", fd_text(fd)); });
}

Status fdatasync(int fd) {
  return status_of(::fdatasync(fd), [&] { return format_text("fdatasync({})", fd_text(fd)); });
}

Status syncfs(int fd) {
  return status_of(::syncfs(fd), [&] { return format_text("syncfs({})", fd_text(fd)); });
}

Status fchdir(int fd) {
  return status_of(::fchdir(fd), [&] { return format_text("fchdir({})", fd_text(fd)); });
}

Status chdir(const std::string& path) {
  return status_of(::chdir(path.c_str()), [&] { return format_text("chdir({})", quote(path)); });
}

Result<std::string> getcwd() {
  std::array<char, 4096> path{};
  // The raw call: glibc's falls back to walking up, which can name a directory outside the root.
  const auto length = ::syscall(SYS_getcwd, path.data(), path.size());
  if (failed(length)) return call_error([] { return std::string{"getcwd()"}; });
  return std::string{path.data()};
}

Status flock(int fd, int operation) {
  return status_of(retry_eintr([&] { return ::flock(fd, operation); }),
                   [&] { return format_text("flock({})", fd_text(fd)); });
}

Result<UniqueFd> memfd_create(const std::string& name, unsigned flags) {
  return fd_of(::memfd_create(name.c_str(), flags | MFD_CLOEXEC),
               [&] { return format_text("memfd_create({})", quote(name)); });
}

Status add_seals(int fd, int seals) {
  return status_of(::fcntl(fd, F_ADD_SEALS, seals), [&] { return format_text("fcntl({}, F_ADD_SEALS)", fd_text(fd)); });
}

Result<Pipe> pipe2(int flags) {
  std::array<int, 2> ends{};
  if (failed(::pipe2(ends.data(), flags | O_CLOEXEC))) return call_error([] { return std::string{"pipe2()"}; });
  return Pipe{.read_end = UniqueFd{ends[0]}, .write_end = UniqueFd{ends[1]}};
}

Status set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (failed(flags)) return call_error([&] { return format_text("fcntl({}, F_GETFL)", fd_text(fd)); });
  return status_of(::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK),
                   [&] { return format_text("fcntl({}, F_SETFL)", fd_text(fd)); });
}

Status set_cloexec(int fd, bool on) {
  return status_of(::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0),
                   [&] { return format_text("fcntl({}, F_SETFD)", fd_text(fd)); });
}

Status close_range(unsigned first, unsigned last, unsigned flags) {
  return status_of(::syscall(SYS_close_range, first, last, flags),
                   [&] { return format_text("close_range({}, {})", first, last); });
}

Result<off_t> lseek(int fd, off_t offset, int whence) {
  const auto at = ::lseek(fd, offset, whence);
  if (failed(at)) return call_error([&] { return format_text("lseek({}, {})", fd_text(fd), offset); });
  return at;
}

Status access(const std::string& path, int mode) {
  return status_of(::faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS),
                   [&] { return format_text("access({})", quote(path)); });
}

mode_t umask(mode_t mask) { return ::umask(mask); }

Result<std::vector<DirEntry>> list_dir(int dirfd) {
  auto own = TRY(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
  struct CloseDir {
    void operator()(DIR* dir) const { (void)::closedir(dir); }
  };
  const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(own.get())};
  if (dir == nullptr) return call_error([&] { return format_text("fdopendir({})", fd_text(own.get())); });
  (void)own.release();  // now owned by `dir`
  std::vector<DirEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) return call_error([&] { return format_text("readdir({})", fd_text(dirfd)); });
      return entries;
    }
    const std::string_view name{entry->d_name};
    if (name == "." || name == "..") continue;
    entries.push_back({.name = std::string{name}, .type = entry->d_type, .inode = entry->d_ino});
  }
}

}  // namespace husk::sys
