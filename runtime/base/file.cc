#include "base/file.h"

#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk {

Result<std::string> read_all(int fd, std::size_t max_bytes) {
  std::string text;
  std::array<char, 16384> block;  // NOLINT: filled by read
  for (;;) {
    const auto got = TRY(sys::read_some(fd, block));
    if (got == 0) return text;
    if (text.size() + got > max_bytes)
      return Error{Kind::invalid, format_text("{} is larger than {} bytes", sys::fd_text(fd), max_bytes)};
    text.append(block.data(), got);
  }
}

Result<std::string> read_file_at(int dirfd, const std::string& path, std::size_t max_bytes) {
  const auto fd = TRY(sys::openat(dirfd, path, O_RDONLY));
  return read_all(fd.get(), max_bytes);
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  return read_file_at(AT_FDCWD, path, max_bytes);
}

Status write_existing(int dirfd, const std::string& path, std::string_view text) {
  const auto fd = TRY(sys::openat(dirfd, path, O_WRONLY));
  const auto done = sys::write_some(fd.get(), text);
  if (!done.has_value()) return Error{done.error()}.during(format_text("write {}", quote(text)));
  return ok();
}

constexpr std::string_view kTemporary = ".tmp-";
constexpr std::size_t kRandomBytes = 4;

Status write_atomically(int dirfd, const std::string& path, std::string_view text, mode_t mode, Durable durable) {
  const std::string temporary = format_text("{}{}{}", path, kTemporary, random_hex(kRandomBytes));
  const auto write_temporary = [&]() -> Status {
    const auto fd = TRY(sys::openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    TRY(sys::write_all(fd.get(), text));
    if (durable == Durable::yes) TRY(sys::fsync(fd.get()));
    return sys::renameat2(dirfd, temporary, dirfd, path);
  };
  auto done = write_temporary();
  if (!done.has_value()) {
    (void)sys::unlinkat(dirfd, temporary);  // may be absent
    return done;
  }
  if (durable == Durable::no) return ok();
  const auto slash = path.rfind('/');
  const auto directory = slash == std::string::npos ? std::string{"."} : path.substr(0, slash + 1);
  const auto fd = TRY(sys::openat(dirfd, directory, O_RDONLY | O_DIRECTORY));
  return sys::fsync(fd.get());
}

bool is_temporary(std::string_view name) {
  constexpr auto kDigits = 2 * kRandomBytes;
  if (name.size() <= kTemporary.size() + kDigits) return false;
  const auto digits = name.substr(name.size() - kDigits);
  return name.substr(0, name.size() - kDigits).ends_with(kTemporary) &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status make_directories(const std::string& path, mode_t mode) {
  for (std::size_t at = 1; at != std::string::npos && at <= path.size();) {
    at = path.find('/', at);
    const auto part = path.substr(0, at);
    const auto made = sys::mkdirat(AT_FDCWD, part, mode);
    if (!made.has_value() && made.error().kind() != Kind::exists) {
      // EROFS and EACCES come before EEXIST on some file systems: look before failing.
      if (!path_exists(part)) return made.error();
    }
    if (at != std::string::npos) ++at;
  }
  return ok();
}

bool path_exists(const std::string& path) {
  return sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).has_value();
}

Result<std::string> absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  const auto cwd = TRY(sys::getcwd());
  if (path.empty() || path == ".") return cwd;
  return cwd + (cwd.ends_with('/') ? "" : "/") + path;
}

}  // namespace husk
