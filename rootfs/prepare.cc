// The host side: everything that is found by a host path is opened here, once, before any namespace
// of the container exists. open_tree opens no file: a FIFO or a device as a source cannot block or act.
#include <errno.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "rootfs/attributes.h"
#include "rootfs/copied_link.h"
#include "rootfs/id_map.h"
#include "rootfs/rootfs.h"

namespace husk::rootfs {
namespace {

constexpr const char* kRootHint = "root.path of config.json must be an existing directory";

bool same(const std::vector<oci::IdMapping>& left, const std::vector<oci::IdMapping>& right) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i)
    if (left[i].container_id != right[i].container_id || left[i].host_id != right[i].host_id ||
        left[i].size != right[i].size)
      return false;
  return true;
}

// Mounts with the same mappings share one namespace: each costs a process.
Result<UniqueFd> open_userns(const RootfsPlan& plan, const HostHandles& handles, std::size_t index) {
  const auto& op = plan.mounts[index];
  if (!op.id_map_path.empty()) return sys::openat(AT_FDCWD, op.id_map_path, O_RDONLY);
  for (std::size_t i = 0; i < index; ++i) {
    const auto& other = plan.mounts[i];
    if (handles.id_map_userns[i].is_open() && other.id_map_path.empty() &&
        same(other.uid_mappings, op.uid_mappings) && same(other.gid_mappings, op.gid_mappings))
      return sys::dup_cloexec(handles.id_map_userns[i].get());
  }
  return open_id_map(op.uid_mappings, op.gid_mappings);
}

Error explain_source(Error error, const MountOp& op) {
  switch (error.os_errno()) {
    case ENOENT: return std::move(error).hint(format_text("{} does not exist on the host", quote(op.from)));
    case EINVAL:
      return std::move(error).hint("the source is an unbindable mount, or holds mounts that only rbind may take along");
    default: return error;
  }
}

// A fake /proc would lie to everything in the container that asks it. Source: CVE-2019-16884.
Status check_proc_source(const UniqueFd& tree, const MountOp& op) {
  if (op.to != "/proc") return ok();
  const auto info = TRY(sys::fstatfs(tree.get()));
  if (info.f_type == PROC_SUPER_MAGIC) return ok();
  return Error{Kind::invalid, format_text("{} is no procfs and cannot be bound on /proc", quote(op.from))};
}

// With src-nofollow or copy-symlink. The kernel's own links (/proc/1/root), when they are mounted, lead past every
// root; and what is found by the names of these directories is restricted there, not behind a link.
Status check_link_source(const UniqueFd& tree, const MountOp& op) {
  const auto info = TRY(sys::fstatfs(tree.get()));
  if (op.source_nofollow && info.f_type == PROC_SUPER_MAGIC)
    return Error{Kind::invalid, format_text("{} is a link of the kernel's, which leads out of the container", quote(op.from))}
        .hint("take what it leads to as the source");
  if (op.to != "/proc" && op.to != "/sys" && op.to != "/dev") return ok();
  return Error{Kind::invalid, format_text("{} is a symbolic link, and {} must be an ordinary directory", quote(op.from), quote(op.to))}
      .hint("take what it leads to as the source");
}

Result<UniqueFd> open_bind(const RootfsPlan& plan, const MountOp& op, const UniqueFd& userns) {
  const bool nofollow = op.copy_link || op.source_nofollow;
  const unsigned flags = OPEN_TREE_CLONE | (op.recursive_bind ? static_cast<unsigned>(AT_RECURSIVE) : 0U) |
                         (nofollow ? static_cast<unsigned>(AT_SYMLINK_NOFOLLOW) : 0U);
  auto opened = sys::open_tree(AT_FDCWD, op.from, flags);
  if (!opened.has_value()) return explain_source(std::move(opened).error(), op);
  auto tree = std::move(opened).value();
  const bool link = nofollow ? TRY(is_link(tree)) : false;
  if (link) TRY(check_link_source(tree, op));
  if (link && op.copy_link) return tree;
  TRY(check_proc_source(tree, op));
  // The clone of a shared mount is a peer of the host's. A user namespace must not be one: what is
  // mounted in it would appear on the host. Source: man 7 mount_namespaces, "Restrictions".
  if (plan.bind_devices && op.propagation == MS_SHARED)
    TRY(sys::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, {.propagation = MS_SLAVE}));
  TRY(set_attributes(tree, op, userns.get()));
  return tree;
}

Status prepare_mount(const RootfsPlan& plan, HostHandles& handles, std::size_t index) {
  const auto& op = plan.mounts[index];
  if (op.act != Act::bind) return ok();
  if (op.id_map) handles.id_map_userns[index] = TRY(open_userns(plan, handles, index));
  handles.mount_sources[index] = TRY(open_bind(plan, op, handles.id_map_userns[index]));
  return ok();
}

// Opened here because the child may lack the right to walk to it (a store of mode 0700, a user
// namespace). Private or a slave: a mount inside must not appear below the host's directory.
Result<UniqueFd> open_root(const RootfsPlan& plan) {
  auto opened = sys::open_tree(AT_FDCWD, plan.rootfs, OPEN_TREE_CLONE | AT_RECURSIVE);
  if (!opened.has_value() && opened.error().os_errno() == EPERM)
    return std::move(opened).during("open rootfs").hint(
        "mounting needs CAP_SYS_ADMIN: run husk as root with all capabilities, or in a user and mount namespace");
  if (!opened.has_value())
    return std::move(opened).during("open rootfs").hint(kRootHint);
  const auto info = TRY(sys::fstat(opened.value().get()));
  if (!S_ISDIR(info.st_mode))
    return Error{Kind::invalid, format_text("the rootfs {} is no directory", quote(plan.rootfs))}.hint(kRootHint);
  const std::uint64_t propagation = (plan.root_propagation & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE;
  TRY(sys::mount_setattr(opened.value().get(), "", AT_EMPTY_PATH | AT_RECURSIVE, {.propagation = propagation}));
  return std::move(opened).value();
}

}  // namespace

Result<HostHandles> prepare_mounts(const RootfsPlan& plan) {
  HostHandles handles;
  handles.mount_sources.resize(plan.mounts.size());
  handles.id_map_userns.resize(plan.mounts.size());
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    auto done = prepare_mount(plan, handles, i);
    if (done.has_value()) continue;
    const auto& op = plan.mounts[i];
    return std::move(done).error().during(format_text("{}: mount on {}", quote(op.pointer), quote(op.to)));
  }
  return handles;
}

Result<HostHandles> prepare(const RootfsPlan& plan) {
  auto root = TRY(open_root(plan));
  auto handles = TRY(prepare_mounts(plan));
  if (plan.joined) handles.proc = TRY(sys::openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY));
  handles.root = std::move(root);
  return handles;
}

}  // namespace husk::rootfs
