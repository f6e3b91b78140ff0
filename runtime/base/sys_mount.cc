#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/sys.h"
#include "base/sys_check.h"
#include "base/text.h"

namespace husk::sys {
namespace {

// The kernel's messages for a file system context: "e overlay: …" lines, one per read.
// Source: man 2 fsopen (message retrieval interface).
std::string context_log(int fs) {
  std::string text;
  std::array<char, 1024> line{};
  for (int i = 0; i < 8; ++i) {
    const auto length = ::read(fs, line.data(), line.size());
    if (length <= 2) break;
    if (!text.empty()) text += "; ";
    text += trim({line.data() + 2, static_cast<std::size_t>(length) - 2});
  }
  return text;
}

// `describe` runs after errno is saved. Reading the log would change errno, so it comes second.
template <class Describe>
Status context_status(long result, int fs, Describe&& describe) {
  if (!failed(result)) return ok();
  const int err = errno;
  std::string call = describe();
  if (const auto log = context_log(fs); !log.empty()) call += format_text(": kernel says {}", quote(log));
  return Error{kind_of_errno(err), std::move(call), err};
}

long configure(int fs, unsigned command, const char* key, const void* value, int aux) {
  return ::syscall(SYS_fsconfig, fs, command, key, value, aux);
}

}  // namespace

Result<UniqueFd> fsopen(const std::string& type, unsigned flags) {
  return fd_of(::syscall(SYS_fsopen, type.c_str(), flags | FSOPEN_CLOEXEC),
               [&] { return format_text("fsopen({})", quote(type)); });
}

Status fsconfig_string(int fs, const std::string& key, const std::string& value) {
  return context_status(configure(fs, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0), fs,
                        [&] { return format_text("fsconfig({}={})", key, quote(value)); });
}

Status fsconfig_flag(int fs, const std::string& key) {
  return context_status(configure(fs, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0), fs, [&] { return format_text("fsconfig({})", key); });
}

Status fsconfig_fd(int fs, const std::string& key, int fd) {
  return context_status(configure(fs, FSCONFIG_SET_FD, key.c_str(), nullptr, fd), fs,
                        [&] { return format_text("fsconfig({}=fd {})", key, fd_text(fd)); });
}

Status fsconfig_create(int fs) {
  return context_status(configure(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), fs, [&] { return std::string{"fsconfig(create)"}; });
}

Status fsconfig_reconfigure(int fs) {
  return context_status(configure(fs, FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0), fs, [&] { return std::string{"fsconfig(reconfigure)"}; });
}

Result<UniqueFd> fsmount(int fs, unsigned attributes) {
  const auto fd = ::syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
  TRY(context_status(fd, fs, [&] { return format_text("fsmount({:#x})", attributes); }));
  return UniqueFd{static_cast<int>(fd)};
}

Result<UniqueFd> fspick(int dirfd, const std::string& path, unsigned flags) {
  return fd_of(::syscall(SYS_fspick, dirfd, path.c_str(), flags | FSPICK_CLOEXEC),
               [&] { return format_text("fspick({}, {})", fd_text(dirfd), quote(path)); });
}

Result<UniqueFd> open_tree(int dirfd, const std::string& path, unsigned flags) {
  return fd_of(::syscall(SYS_open_tree, dirfd, path.c_str(), flags | OPEN_TREE_CLOEXEC),
               [&] { return format_text("open_tree({}, {})", fd_text(dirfd), quote(path)); });
}

Status move_mount(int from_fd, const std::string& from, int to_fd, const std::string& to, unsigned flags) {
  return status_of(::syscall(SYS_move_mount, from_fd, from.c_str(), to_fd, to.c_str(), flags), [&] {
    return format_text("move_mount({}, {}, {}, {})", fd_text(from_fd), quote(from), fd_text(to_fd), quote(to));
  });
}

Status mount_setattr(int fd, const std::string& path, unsigned flags, const MountAttributes& attributes) {
  mount_attr attr{};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  attr.propagation = attributes.propagation;
  if (attributes.userns_fd >= 0) attr.userns_fd = static_cast<std::uint64_t>(attributes.userns_fd);
  return status_of(::syscall(SYS_mount_setattr, fd, path.c_str(), flags, &attr, sizeof attr), [&] {
    return format_text("mount_setattr({}, {}, set {:#x}, clear {:#x})", fd_text(fd), quote(path), attributes.set,
                  attributes.clear);
  });
}

Status mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
             const std::string& data) {
  return status_of(::mount(source.c_str(), target.c_str(), type.empty() ? nullptr : type.c_str(), flags,
                           data.empty() ? nullptr : data.c_str()),
                   [&] {
                     return format_text("mount({}, {}, {}, {:#x}, {})", quote(source), quote(target), quote(type),
                                   flags, quote(data));
                   });
}

Status umount2(const std::string& target, int flags) {
  return status_of(::umount2(target.c_str(), flags), [&] { return format_text("umount2({})", quote(target)); });
}

Status pivot_root(const std::string& new_root, const std::string& put_old) {
  return status_of(::syscall(SYS_pivot_root, new_root.c_str(), put_old.c_str()),
                   [&] { return format_text("pivot_root({}, {})", quote(new_root), quote(put_old)); });
}

Status chroot(const std::string& path) {
  return status_of(::chroot(path.c_str()), [&] { return format_text("chroot({})", quote(path)); });
}

}  // namespace husk::sys
