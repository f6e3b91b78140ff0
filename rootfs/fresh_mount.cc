#include "rootfs/fresh_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/attributes.h"
#include "rootfs/copy_up.h"
#include "rootfs/layer_path.h"

namespace husk::rootfs {
namespace {

constexpr std::size_t kMaxFsconfigValue = 255;

struct HostMount {
  std::string_view type;
  const char* path;
  bool read_only;
};
constexpr std::array kHostMounts{HostMount{"sysfs", "/sys", true}, HostMount{"cgroup2", "/sys/fs/cgroup", true},
                                 HostMount{"mqueue", "/dev/mqueue", false}};

Status explain_label(Status done, const std::string& label) {
  if (done.has_value()) return done;
  return std::move(done).during("\"/linux/mountLabel\"").hint(
      format_text("the loaded policy must know {}, and the file system must take labels", quote(label)));
}

// An overlay's directories may be longer than fsconfig takes: layers then go one by one, by descriptor.
struct LongValues {
  std::vector<LayerPath> open_until_create;
  Status add(int fs, const char* key, const std::string& path) {
    auto layer = TRY(LayerPath::open(path));
    TRY(sys::fsconfig_string(fs, key, layer.text()));
    open_until_create.push_back(std::move(layer));
    return ok();
  }
  Status add_overlay(int fs, const std::string& key, const std::string& value) {
    if (key == "upperdir" || key == "workdir") return add(fs, key.c_str(), value);
    std::string layer;
    for (std::size_t i = 0; i <= value.size(); ++i) {
      if (i < value.size() && value[i] == '\\' && i + 1 < value.size()) {
        layer += value[++i];  // overlayfs.rst: a colon in a name is escaped by a backslash
      } else if (i < value.size() && value[i] != ':') {
        layer += value[i];
      } else {
        TRY(add(fs, "lowerdir+", layer));
        layer.clear();
      }
    }
    return ok();
  }
};

bool is_layer_key(const std::string& key) { return key == "lowerdir" || key == "upperdir" || key == "workdir"; }

Status configure(int fs, const MountOp& op, bool user_namespace, LongValues& long_values) {
  if (!op.from.empty()) TRY(sys::fsconfig_string(fs, "source", op.from));
  for (const auto& [key, value] : op.settings) {
    if (op.type == "overlay" && value.size() > kMaxFsconfigValue && is_layer_key(key)) {
      TRY(long_values.add_overlay(fs, key, value));
      continue;
    }
    auto done = value.empty() ? sys::fsconfig_flag(fs, key) : sys::fsconfig_string(fs, key, value);
    if (done.has_value()) continue;
    // The group "tty" of the host need not exist in a user namespace; ptys then belong to their opener.
    if (op.type == "devpts" && key == "gid" && user_namespace && done.error().os_errno() == EINVAL) continue;
    if (value.size() > kMaxFsconfigValue)
      return std::move(done).error().as(Kind::unsupported).hint("the kernel takes values of at most 255 bytes");
    return done;
  }
  return ok();
}

// A procfs or sysfs in a user namespace must not show more than the one that is visible already: its
// read-only and access time flags are locked. Source: mount_too_revealing() in fs/namespace.c.
Result<UniqueFd> mount_as_revealing(int fs, const MountOp& op, unsigned attributes) {
  auto mount = sys::fsmount(fs, attributes);
  if (mount.has_value() || mount.error().os_errno() != EPERM || (op.type != "proc" && op.type != "sysfs")) return mount;
  const auto visible = TRY(sys::openat(AT_FDCWD, op.type == "proc" ? "/proc" : "/sys", O_PATH | O_DIRECTORY));
  const auto info = TRY(sys::fstatfs(visible.get()));
  const auto flags = static_cast<unsigned long>(info.f_flags);
  attributes &= ~static_cast<unsigned>(MOUNT_ATTR__ATIME);
  if ((flags & ST_RDONLY) != 0) attributes |= MOUNT_ATTR_RDONLY;
  if ((flags & ST_NODIRATIME) != 0) attributes |= MOUNT_ATTR_NODIRATIME;
  if ((flags & ST_NOATIME) != 0) attributes |= MOUNT_ATTR_NOATIME;
  if ((flags & (ST_NOATIME | ST_RELATIME)) == 0) attributes |= MOUNT_ATTR_STRICTATIME;
  return sys::fsmount(fs, attributes)
      .hint(format_text("a user namespace may mount {} only where the host's is fully visible: nothing may cover parts "
                        "of it, and a pid or network namespace of its own is needed", op.type));
}

Result<UniqueFd> make_own(const MountOp& op, bool user_namespace) {
  const auto fs = TRY(sys::fsopen(op.type));
  if (!is_labelled_by_attribute(op)) TRY(set_context(fs.get(), op.label, op.label_option));
  LongValues long_values;
  TRY(configure(fs.get(), op, user_namespace, long_values));
  TRY(sys::fsconfig_create(fs.get()));
  unsigned attributes = fresh_attributes(op);
  // Mount points are made in it first, and what it copies up: apply makes it read-only at its end.
  if (op.type == "tmpfs") attributes &= ~static_cast<unsigned>(MOUNT_ATTR_RDONLY);
  auto mount = TRY(mount_as_revealing(fs.get(), op, attributes));
  if (is_labelled_by_attribute(op)) TRY(label_root(mount, op.label));
  // It is private as it is made, and has no master that it could be a slave of.
  if ((op.propagation & (MS_SHARED | MS_UNBINDABLE)) != 0)
    TRY(sys::mount_setattr(mount.get(), "", AT_EMPTY_PATH, {.propagation = op.propagation}));
  return mount;
}

// Recursive, or locked mounts below would have to be uncovered; a slave, or what is mounted in the
// container would reach the host; read-only with all below it.
Result<UniqueFd> bind_of_host(const HostMount& host, const MountOp& op) {
  auto tree = TRY(sys::open_tree(AT_FDCWD, host.path, OPEN_TREE_CLONE | static_cast<unsigned>(AT_RECURSIVE)));
  std::uint64_t set = fresh_attributes(op) & ~static_cast<unsigned>(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME);
  if (host.read_only) set |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  TRY(sys::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, {.set = set, .propagation = MS_SLAVE}));
  return tree;
}

Error explain(Error error, const MountOp& op) {
  if (error.os_errno() == ENODEV)
    return std::move(error).as(Kind::unsupported).hint(format_text("the kernel has no file system {}", quote(op.type)));
  if (error.os_errno() == EINVAL)
    return std::move(error).hint("an option is unknown to the file system, or its value is wrong");
  return error;
}

bool has_setting(const MountOp& op, std::string_view key) {
  return std::ranges::any_of(op.settings, [&](const auto& setting) { return setting.first == key; });
}

}  // namespace

Result<UniqueFd> make_fresh_only(const MountOp& op, bool user_namespace) {
  auto own = make_own(op, user_namespace);
  if (!own.has_value()) return explain(std::move(own).error(), op);
  return own;
}

Result<UniqueFd> make_tmpfs(MountOp op, int covered) {
  if (covered >= 0 && !has_setting(op, "mode")) {
    const auto info = TRY(sys::fstat(covered));
    op.settings.emplace_back("mode", format_text("{:o}", info.st_mode & 07777));
  }
  auto mount = TRY(make_fresh_only(op, false));
  if (op.copy_up && covered >= 0) TRY(copy_up(covered, mount.get()));
  return mount;
}

bool is_labelled_by_attribute(const MountOp& op) { return op.type == "mqueue"; }

Status label_root(const UniqueFd& mount, const std::string& label) {
  if (label.empty()) return ok();
  const auto root = TRY(sys::openat(mount.get(), ".", O_RDONLY | O_DIRECTORY));
  return explain_label(sys::fsetxattr(root.get(), "security.selinux", {label.c_str(), label.size() + 1}), label);
}

Status set_context(int fs, const std::string& label, const std::string& option) {
  if (label.empty()) return ok();
  return explain_label(sys::fsconfig_string(fs, option, label), label);
}

Result<FreshMount> make_fresh(const MountOp& op, bool user_namespace) {
  auto own = make_own(op, user_namespace);
  if (own.has_value()) return FreshMount{.mount = std::move(own).value()};
  const int err = own.error().os_errno();
  for (const auto& host : kHostMounts) {
    if (host.type != op.type || (err != EPERM && err != EBUSY)) continue;
    auto bound = bind_of_host(host, op);
    if (bound.has_value()) return FreshMount{.mount = std::move(bound).value(), .of_host = true};
  }
  return explain(std::move(own).error(), op);
}

}  // namespace husk::rootfs
