#include "netns/sysctl.h"

#include <fcntl.h>

#include <cerrno>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::netns {

Result<std::string> sysctl_path(std::string_view key) {
  std::string path{key};
  const auto first = path.find_first_of("./");
  if (first != std::string::npos && path[first] == '.')
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  const auto wrong = [&](std::string_view why) {
    return Error{Kind::invalid, format_text("sysctl {} {}", quote(key), why)};
  };
  if (!path.starts_with("net/")) return wrong("is not a setting of a network namespace (net.*)");
  for (const auto part : split(path, '/'))
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return wrong("is not a valid name");
  return "/proc/sys/" + path;
}

Status write_sysctl(std::string_view key, std::string_view value) {
  const auto path = TRY(sysctl_path(key));
  auto done = write_existing(AT_FDCWD, path, value);
  if (done.has_value()) return ok();
  auto error = std::move(done).error().during(format_text("set sysctl {}", quote(key)));
  switch (error.os_errno()) {
    case ENOENT: return std::move(error).as(Kind::invalid).hint("this kernel has no such setting");
    case EINVAL:
    case ERANGE: return std::move(error).as(Kind::invalid).hint(format_text("the kernel refused {}", quote(value)));
    case EROFS: return std::move(error).hint("/proc/sys is read-only here: set it outside");
    default: return error;
  }
}

Status ensure_sysctl(std::string_view key, std::string_view value) {
  const auto path = TRY(sysctl_path(key));
  const auto current = read_file(path);
  if (current.has_value() && trim(current.value()) == value) return ok();
  return write_sysctl(key, value);
}

bool has_sysctl(std::string_view key) {
  const auto path = sysctl_path(key);
  return path.has_value() && path_exists(path.value());
}

}  // namespace husk::netns
