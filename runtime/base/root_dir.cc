#include "base/root_dir.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk {
namespace {

constexpr int kMaxLookups = 128;
constexpr std::size_t kMaxComponents = 4096;
constexpr int kMaxLinks = 40;  // as in the kernel: man 7 path_resolution

open_how how_in_root(int flags, mode_t mode, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | resolve;
  return how;
}

// `call` is one of sys's two ways to openat2.
template <class Call>
auto look_up(Call call, int root, const std::string& path, const open_how& how) -> decltype(call(root, path, how)) {
  for (int attempt = 0; attempt < kMaxLookups; ++attempt) {
    auto found = call(root, path.empty() ? "." : path, how);
    if (found.has_value() || found.error().os_errno() != EAGAIN) return found;
    // EAGAIN: a rename raced with a ".." step; the kernel asks the caller to retry.
  }
  return Error{Kind::busy, format_text("{} changed {} times during lookup", quote(path), kMaxLookups)};
}

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, mode_t mode,
                              std::uint64_t resolve = RESOLVE_NO_MAGICLINKS) {
  return look_up(sys::openat2, root, path, how_in_root(flags, mode, resolve));
}

std::deque<std::string> components_of(std::string_view path) {
  std::deque<std::string> parts;
  for (const auto part : split(path, '/'))
    if (!part.empty() && part != ".") parts.emplace_back(part);
  return parts;
}

// Some files of the kernel are regular by their looks, and wait for the reader or are changed by him: a name of the
// image that leads to /proc/kmsg would hold us for ever, with the host's log in our hands.
Result<bool> is_stored(int fd) {
  constexpr std::array<long, 3> kKernels{PROC_SUPER_MAGIC, TRACEFS_MAGIC, DEBUGFS_MAGIC};
  const auto type = TRY(sys::fstatfs(fd)).f_type;
  return std::find(kKernels.begin(), kKernels.end(), type) == kKernels.end();
}

bool is_absent(const Result<UniqueFd>& result) { return !result.has_value() && result.error().os_errno() == ENOENT; }

}  // namespace

Result<RootDir> RootDir::open(const std::string& path) {
  return RootDir{TRY(sys::openat(AT_FDCWD, path, O_PATH | O_DIRECTORY))};
}

Result<RootDir> RootDir::adopt(UniqueFd directory) { return RootDir{std::move(directory)}; }

Result<RootDir> RootDir::duplicate() const { return RootDir{TRY(sys::dup_cloexec(fd_.get()))}; }

Result<UniqueFd> RootDir::open_path(const std::string& path, int flags) const {
  return open_in_root(fd_.get(), path, O_PATH | flags, 0);
}

Result<std::optional<UniqueFd>> RootDir::find_path(const std::string& path) const {
  return look_up(sys::find_openat2, fd_.get(), path, how_in_root(O_PATH, 0, RESOLVE_NO_MAGICLINKS));
}

Result<UniqueFd> RootDir::open_plain(const std::string& path, int flags) const {
  return open_in_root(fd_.get(), path, O_PATH | flags, 0, RESOLVE_NO_SYMLINKS);
}

Result<UniqueFd> RootDir::open_file(const std::string& path, int flags, mode_t mode) const {
  // Opening some devices has effects (a watchdog, a tape), so the type is looked at first. Between the
  // look and the open the name may change: then the second look refuses it.
  const auto check = [&](int fd) -> Status {
    const auto info = TRY(sys::fstat(fd));
    if (S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) && TRY(is_stored(fd)))) return ok();
    return Error{Kind::invalid, format_text("{} is not a regular file or directory", quote(path))};
  };
  const auto look = open_path(path, flags & O_NOFOLLOW);
  if (look.has_value()) TRY(check(look.value().get()));
  // O_NONBLOCK: opening a FIFO must not wait. Cleared again for regular files below.
  auto fd = TRY(open_in_root(fd_.get(), path, flags | O_NONBLOCK | O_NOCTTY, mode));
  TRY(check(fd.get()));
  TRY(sys::set_nonblocking(fd.get(), false));
  return fd;
}

Result<std::string> RootDir::read_file(const std::string& path, std::size_t max_bytes) const {
  const auto fd = TRY(open_file(path, O_RDONLY));
  return read_all(fd.get(), max_bytes);
}

Result<UniqueFd> RootDir::make_directories(const std::string& path, mode_t mode) const {
  // Grows `walked` by one component a time and resolves it from the root again: ".." and symlinks
  // mean what they mean inside, and mkdirat works on the parent that was really opened.
  std::string walked;
  std::deque<std::string> left = components_of(path);
  int links = 0;
  auto current = TRY(sys::openat(fd_.get(), ".", O_PATH | O_DIRECTORY));
  for (std::size_t count = 0; !left.empty(); ++count) {
    if (count > kMaxComponents) return Error{Kind::invalid, "path has too many components"};
    const auto part = std::move(left.front());
    left.pop_front();
    auto here = walked;
    here.append("/").append(part);
    auto next = open_path(here, O_DIRECTORY);
    if (is_absent(next)) {
      const auto made = sys::mkdirat(current.get(), part, mode);
      if (!made.has_value() && made.error().kind() != Kind::exists) return made.error();
      next = open_path(here, O_DIRECTORY);
    }
    if (is_absent(next)) {  // a symbolic link to nowhere: go on with its target
      if (++links > kMaxLinks) return Error{Kind::invalid, format_text("{} has too many symbolic links", quote(path))};
      const auto target = TRY(sys::readlinkat(current.get(), part));
      auto more = components_of(target);
      left.insert(left.begin(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
      if (!target.starts_with('/')) continue;
      walked.clear();
      current = TRY(sys::openat(fd_.get(), ".", O_PATH | O_DIRECTORY));
      continue;
    }
    if (!next.has_value()) return std::move(next).error();
    current = std::move(next).value();
    walked = std::move(here);
  }
  return current;
}

Result<RootDir::Place> RootDir::open_parent(const std::string& path, bool create) const {
  std::string_view rest = path;
  while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
  const auto slash = rest.rfind('/');
  Place place;
  place.name = std::string{slash == std::string_view::npos ? rest : rest.substr(slash + 1)};
  if (place.name.empty() || place.name == "." || place.name == "..")
    return Error{Kind::invalid, format_text("{} does not end in a name", quote(path))};
  const std::string parent{slash == std::string_view::npos ? "/" : rest.substr(0, slash + 1)};
  place.parent = create ? TRY(make_directories(parent)) : TRY(open_path(parent, O_DIRECTORY));
  return place;
}

}  // namespace husk
