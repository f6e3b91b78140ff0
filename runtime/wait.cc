// husk wait: the end of a process that is not our child.
#include <poll.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#include "base/format.h"
#include "base/sys.h"
#include "container.h"

namespace husk::runtime {
namespace {

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Error nobody_knows() {
  return Error{Kind::not_found, "the container has ended, and its exit code was not kept"}.hint(
      "only its parent has seen it: ask the engine that made it, or let husk wait begin before the end");
}

// Not reaped: /proc shows it. Reaped while we watched: the kernel tells through the pidfd. Before that:
// what `husk run --keep` or an earlier `husk wait` wrote down.
std::optional<int> find_exit_code(const ContainerDir& directory, const Record& record, int pidfd) {
  const auto zombie = find_zombie_status(record.init);
  if (zombie.has_value()) return exit_code_of(*zombie);
  const auto reaped = pidfd < 0 ? std::nullopt : sys::find_reaped_status(pidfd);
  if (reaped.has_value()) return exit_code_of(*reaped);
  return directory.find_exit_code();
}

// Before kernel 6.15 the code of a process that its parent has reaped is with that parent, which may be about to
// write it down (husk-monitor, run --keep). Source: man 7 inotify.
std::optional<int> await_exit_code(const ContainerDir& directory) {
  constexpr int kPatienceMs = 1000;
  const auto watch = sys::inotify_init();
  if (!watch.has_value()) return std::nullopt;
  if (!sys::inotify_add_watch(watch.value().get(), directory.path(), IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR).has_value()) return std::nullopt;
  auto code = directory.find_exit_code();  // written between the last look and the watch
  if (code.has_value()) return code;
  std::vector<sys::PollEntry> entries{{.fd = watch.value().get(), .events = POLLIN}};
  (void)sys::poll(entries, kPatienceMs);
  return directory.find_exit_code();
}

// A help for those who ask later. Not while another command works on the container: it may be deleting it.
void keep(const ContainerDir& directory, int code) {
  const auto locked = directory.try_lock();
  if (locked.has_value() && locked.value() && !directory.is_gone()) (void)directory.write_exit_code(code);
}

}  // namespace

// Source: man 2 pidfd_open.
Result<bool> wait_until_over(const UniqueFd& pidfd, int timeout_ms) {
  std::vector<sys::PollEntry> entries{{.fd = pidfd.get(), .events = POLLIN}};
  return TRY(sys::poll(entries, timeout_ms)) != 0;
}

Result<int> wait_for_container(const StateStore& store, const ContainerId& id) {
  const auto directory = TRY(store.open(id));
  const auto record = directory.read();
  if (!record.has_value()) return record.error();
  if (record.value().init.pid == 0)
    return Error{Kind::wrong_state, "cannot wait for a container that is being created"}.hint("wait after husk create");
  const auto init = TRY(open_alive(record.value().init));
  if (init.has_value()) TRY(wait_until_over(*init, -1));
  auto code = find_exit_code(directory, record.value(), init.has_value() ? init->get() : -1);
  if (!code.has_value() && init.has_value()) code = await_exit_code(directory);
  if (!code.has_value()) return nobody_knows();
  keep(directory, *code);
  return *code;
}

}  // namespace husk::runtime
