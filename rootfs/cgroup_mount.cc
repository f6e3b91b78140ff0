#include "rootfs/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/attributes.h"
#include "rootfs/fresh_mount.h"

namespace husk::rootfs {
namespace {

constexpr std::string_view kHostMount = "/sys/fs/cgroup/";

// The low bits of MOUNT_ATTR_* and MS_* are the same. Cgroup files keep no access times.
constexpr unsigned long kCommonFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
static_assert(MOUNT_ATTR_RDONLY == MS_RDONLY && MOUNT_ATTR_NOSUID == MS_NOSUID && MOUNT_ATTR_NODEV == MS_NODEV &&
              MOUNT_ATTR_NOEXEC == MS_NOEXEC);

Result<UniqueFd> make_tmpfs(unsigned attributes, const MountOp& op) {
  const auto fs = TRY(sys::fsopen("tmpfs"));
  TRY(set_context(fs.get(), op.label, op.label_option));
  TRY(sys::fsconfig_string(fs.get(), "source", "cgroup"));
  TRY(sys::fsconfig_string(fs.get(), "mode", "755"));
  TRY(sys::fsconfig_create(fs.get()));
  return sys::fsmount(fs.get(), attributes);
}

// mount(2) instead of fsopen: one call in place of six, for up to a dozen hierarchies. The target is a
// single name in the working directory, which is our own tmpfs.
Status mount_anew(const Hierarchy& item, unsigned attributes) {
  const std::string type = item.options.empty() ? "cgroup2" : "cgroup";
  return sys::mount("cgroup", item.directory, type, attributes & kCommonFlags, item.options);
}

Result<UniqueFd> open_own_cgroup(const Hierarchy& item) {
  auto tree = sys::open_tree(AT_FDCWD, std::string{kHostMount} + item.directory + item.path, OPEN_TREE_CLONE);
  if (tree.has_value() || item.aliases.empty()) return tree;
  return sys::open_tree(AT_FDCWD, std::string{kHostMount} + item.aliases.front() + item.path, OPEN_TREE_CLONE);
}

Status set_private(const UniqueFd& tree, unsigned attributes) {
  const std::uint64_t set = attributes & kCommonFlags;
  return sys::mount_setattr(tree.get(), "", AT_EMPTY_PATH, {.set = set, .propagation = MS_PRIVATE});
}

// False: the host has not mounted this hierarchy, so there is nothing to show.
Result<bool> bind_own(const Hierarchy& item, int directory, unsigned attributes) {
  const auto tree = open_own_cgroup(item);
  if (!tree.has_value() && tree.error().kind() == Kind::not_found) return false;
  if (!tree.has_value()) return tree.error();
  TRY(sys::mkdirat(directory, item.directory, 0755));
  TRY(set_private(tree.value(), attributes));
  TRY(sys::move_mount(tree.value().get(), "", directory, item.directory, MOVE_MOUNT_F_EMPTY_PATH));
  return true;
}

Result<bool> mount_own(const Hierarchy& item, int directory, unsigned attributes) {
  TRY(sys::mkdirat(directory, item.directory, 0755));
  TRY(mount_anew(item, attributes));
  return true;
}

Status add_hierarchy(const Hierarchy& item, int directory, unsigned attributes, bool own_namespace) {
  auto shown = own_namespace ? mount_own(item, directory, attributes) : bind_own(item, directory, attributes);
  if (!shown.has_value())
    return std::move(shown).error().during(format_text("cgroup hierarchy {}", quote(item.directory)));
  if (!shown.value()) return ok();
  for (const auto& alias : item.aliases) TRY(sys::symlinkat(item.directory, directory, alias));
  return ok();
}

Status check_directory_name(const std::string& name) {
  if (!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos) return ok();
  return Error{Kind::invalid, format_text("/proc/self/cgroup names a hierarchy {}", quote(name))};
}

}  // namespace

Result<std::vector<Hierarchy>> parse_hierarchies(std::string_view proc_self_cgroup) {
  std::vector<Hierarchy> found;
  for (const auto line : split(proc_self_cgroup, '\n')) {
    if (line.empty()) continue;
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos || !line.substr(second + 1).starts_with('/'))
      return Error{Kind::invalid, format_text("/proc/self/cgroup has the line {}", quote(line))};
    const auto controllers = line.substr(first + 1, second - first - 1);
    Hierarchy item{.directory = std::string{controllers},
                   .options = std::string{controllers},
                   .path = std::string{line.substr(second + 1)}};
    if (controllers.empty()) item.directory = "unified";
    if (controllers.starts_with("name=")) {
      item.directory = std::string{controllers.substr(5)};
    } else if (controllers.find(',') != std::string_view::npos) {
      for (const auto alias : split(controllers, ',')) item.aliases.emplace_back(alias);
    }
    TRY(check_directory_name(item.directory));
    found.push_back(std::move(item));
  }
  return found;
}

Result<UniqueFd> open_own_hierarchy(const Hierarchy& item, const MountOp& op) {
  auto tree = open_own_cgroup(item);
  if (!tree.has_value() && item.options.empty())  // v2 alone has no directory of that name
    tree = sys::open_tree(AT_FDCWD, std::string{kHostMount} + item.path.substr(1), OPEN_TREE_CLONE);
  if (!tree.has_value()) return tree;
  TRY(set_private(tree.value(), fresh_attributes(op)));
  return tree;
}

Status mount_cgroup_v1(const MountOp& op, const MountPoint& place, bool own_namespace) {
  const unsigned attributes = fresh_attributes(op);
  const auto text = TRY(read_file("/proc/self/cgroup"));
  const auto hierarchies = TRY(parse_hierarchies(text));
  const auto directory = TRY(make_tmpfs(attributes & ~static_cast<unsigned>(MOUNT_ATTR_RDONLY), op));
  TRY(attach_at(directory, place));
  TRY(sys::fchdir(directory.get()));
  for (const auto& item : hierarchies) TRY(add_hierarchy(item, directory.get(), attributes, own_namespace));
  if ((attributes & MOUNT_ATTR_RDONLY) == 0) return ok();
  return sys::mount_setattr(directory.get(), "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY});
}

}  // namespace husk::rootfs
