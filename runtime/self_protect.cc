#include "self_protect.h"

#include <errno.h>
#include <linux/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr unsigned kCloneFlags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

Result<std::vector<std::string>> own_arguments() {
  const auto text = TRY(read_file("/proc/self/cmdline"));
  std::vector<std::string> arguments;
  for (const auto part : split(text, '\0')) arguments.emplace_back(part);
  if (!arguments.empty()) arguments.pop_back();  // after the last terminator
  return arguments;
}

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
  const ArgBlock envp{current_environment()};
  auto failed = sys::execveat(tree.value().get(), argv.get(), envp.get());
  return std::move(failed).during("start from a read-only clone of husk");
}

}  // namespace husk::runtime
