#include "init/exec_init.h"

#include <signal.h>
#include <unistd.h>

#include <optional>

#include "base/sys.h"
#include "init/credentials.h"
#include "init/join.h"
#include "init/process_setup.h"
#include "init/signals.h"
#include "init/terminal.h"

namespace husk::runtime {
namespace {

// One setns for all of them: the kernel enters the user namespace first and checks the rest with its
// rights. Source: man 2 setns, "fd is a PID file descriptor".
Status enter_container(const ExecInput& input) {
  TRY(sys::setns(input.init.get(), static_cast<int>(input.namespaces)).during("enter the container's namespaces"));
  if (input.joins_user) TRY(become_namespace_root().during("become root of the user namespace"));
  TRY(sys::set_parent_death_signal(SIGKILL));
  if (!input.root.is_open()) return ok();
  TRY(sys::fchdir(input.root.get()));
  TRY(sys::chroot("."));
  return sys::chdir("/");
}

Result<Payload> set_up(const ExecInput& input) {
  TRY(enter_cgroups(input.cgroup_entries).during("enter cgroup"));
  TRY(input.channel.expect(Step::go));  // handshake 1
  if (input.plan.initial_affinity.has_value())
    TRY(sys::sched_setaffinity(0, *input.plan.initial_affinity).during("apply /process/execCPUAffinity/initial"));
  TRY(enter_container(input));
  TRY(start_session(input.plan).during("start session"));
  const auto root = TRY(RootDir::open("/"));
  if (input.plan.terminal) {
    auto pty = TRY(rootfs::open_terminal(root).during("open terminal"));
    TRY(take_terminal(std::move(pty), input.console, input.plan));
  } else {
    give_stdio(input.plan);
  }
  return set_up_process(input.plan, root, input.channel, input.own);
}

Status go(const ExecInput& input) {
  const auto payload = TRY(set_up(input));
  TRY(sys::set_parent_death_signal(0));
  TRY(input.channel.send(Step::ready));    // handshake 4
  TRY(input.channel.expect(Step::start));  // handshake 5
  for (int i = 0; i < input.preserve_fds; ++i) TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, false));
  return exec_payload(payload);
}

}  // namespace

void run_exec(ExecInput& input) {
  for (const int fd : input.close_first) (void)::close(fd);
  (void)sys::set_parent_death_signal(SIGKILL);  // until the parent has written down who we are
  reset_signals();
  const auto failed = go(input);
  (void)input.channel.send_error(failed.error());  // nothing better to do when the parent is gone
  ::_exit(1);
}

}  // namespace husk::runtime
