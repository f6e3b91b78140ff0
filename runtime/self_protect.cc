#include "self_protect.h"

#include <errno.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/process.h"
#include "base/program_variable.h"
#include "base/sys.h"
#include "base/text.h"
#include "sysctl.h"

namespace husk::runtime {
namespace {

constexpr unsigned kCloneFlags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

Result<bool> is_on_readonly_mount() {
  const auto exe = TRY(sys::openat(AT_FDCWD, "/proc/self/exe", O_PATH));
  const auto info = TRY(sys::fstatfs(exe.get()));
  return (static_cast<unsigned long>(info.f_flags) & ST_RDONLY) != 0;
}

}  // namespace

Status run_from_readonly_mount(int inherited) {
  const auto done = TRY(is_on_readonly_mount());
  if (done) return ok();
  // Zero copies: the clone has the same file. Detached, it is in no mount namespace: nobody can make
  // it writable again, as with a bind mount.
  const auto tree = sys::open_tree(AT_FDCWD, "/proc/self/exe", kCloneFlags);
  if (!tree.has_value()) return tree.error().os_errno() == EPERM ? ok() : Status{tree.error()};
  TRY(sys::mount_setattr(tree.value().get(), "", AT_EMPTY_PATH, {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID}));
  auto items = TRY(own_arguments());
  for (int i = 0; i < inherited; ++i) TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, false));
  const ArgBlock argv{std::move(items)};
  auto environment = current_environment();
  // First: getenv(3) finds it before one that the caller has.
  const auto program = TRY(sys::readlinkat(AT_FDCWD, "/proc/self/exe"));
  environment.insert(environment.begin(), format_text("{}={}", kProgramVariable, program));
  const ArgBlock envp{std::move(environment)};
  auto failed = sys::execveat(tree.value().get(), argv.get(), envp.get());
  return std::move(failed).during("start from a read-only clone of husk");
}

Status refuse_foreign_root() {
  const auto proc = TRY(open_verified_proc());
  const auto exe = TRY(sys::openat(proc.get(), "self/exe", O_PATH));
  const auto mount = TRY(sys::fstatfs(exe.get()));
  const auto running = TRY(sys::fstat(exe.get()));
  // Nobody writes through a read-only mount, nor to a file that has no name any more (an upgrade).
  if ((static_cast<unsigned long>(mount.f_flags) & ST_RDONLY) != 0 || running.st_nlink == 0) return ok();
  const auto path = TRY(sys::readlinkat(proc.get(), "self/exe"));
  const open_how how{.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  const auto named = sys::openat2(AT_FDCWD, path, how);
  if (!named.has_value() && named.error().kind() == Kind::exhausted) return named.error();  // says nothing of its name
  if (named.has_value()) {
    const auto found = TRY(sys::fstat(named.value().get()));
    if (found.st_dev == running.st_dev && found.st_ino == running.st_ino) return ok();
  }
  return Error{Kind::denied, format_text("husk runs as {}, which is not its name here", quote(path))}.hint(
      "it was reached through a link from another root, as a container would do to get hold of its binary");
}

}  // namespace husk::runtime
