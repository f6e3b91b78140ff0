#include "base/kernel_features.h"

#include <errno.h>
#include <linux/magic.h>

#include "base/file.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::kernel {

bool has_openat2() {
  static const bool answer = [] {
    open_how how{};
    how.flags = O_PATH;
    how.resolve = RESOLVE_IN_ROOT;
    return sys::openat2(AT_FDCWD, ".", how).has_value();
  }();
  return answer;
}

bool has_overlay_lowerdir_append() {
  static const bool answer = [] {
    const auto fs = sys::fsopen("overlay");
    if (!fs.has_value()) return false;
    // An unknown key is EINVAL; a known one with a path that cannot exist is ENOENT.
    const auto tried = sys::fsconfig_string(fs.value().get(), "lowerdir+", "/proc/self/husk-no-such-dir");
    return !tried.has_value() && tried.error().os_errno() == ENOENT;
  }();
  return answer;
}

bool is_cgroup2_mounted() {
  const auto fd = sys::openat(AT_FDCWD, "/sys/fs/cgroup", O_PATH);
  if (!fd.has_value()) return false;
  const auto info = sys::fstatfs(fd.value().get());
  return info.has_value() && info.value().f_type == CGROUP2_SUPER_MAGIC;
}

bool has_cgroup_kill() {
  static const bool answer = [] {
    // Present in every non-root cgroup v2 directory since 5.14; this process's own tells.
    const auto release = read_file("/proc/sys/kernel/osrelease", 256);
    if (!release.has_value()) return false;
    const auto parts = split(release.value(), '.');
    if (parts.size() < 2) return false;
    const auto major = parse_uint32(parts[0]);
    const auto minor = parse_uint32(parts[1].substr(0, parts[1].find_first_not_of("0123456789")));
    if (!major.has_value() || !minor.has_value()) return false;
    return major.value() > 5 || (major.value() == 5 && minor.value() >= 14);
  }();
  return answer;
}

int thread_count() {
  const auto status = read_file("/proc/self/status", 65536);
  if (!status.has_value()) return -1;
  for (const auto line : split(status.value(), '\n')) {
    if (!line.starts_with("Threads:")) continue;
    const auto count = parse_uint32(trim(line.substr(8)));
    return count.has_value() ? static_cast<int>(count.value()) : -1;
  }
  return -1;
}

}  // namespace husk::kernel
