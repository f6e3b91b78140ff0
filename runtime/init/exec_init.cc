#include "init/exec_init.h"

#include <linux/sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/process.h"
#include "base/sys.h"
#include "fault.h"
#include "init/credentials.h"
#include "init/join.h"
#include "init/process_setup.h"
#include "init/signals.h"
#include "init/terminal.h"
#include "labels.h"

namespace husk::runtime {
namespace {

// One setns for all of them: the kernel enters the user namespace first and checks the rest with its
// rights. Source: man 2 setns, "fd is a PID file descriptor".
Status enter_container(const ExecInput& input) {
  TRY(sys::setns(input.init.get(), static_cast<int>(input.namespaces)).during("enter the container's namespaces"));
  if ((input.namespaces & CLONE_NEWUSER) != 0) TRY(become_namespace_root().during("become root of the user namespace"));
  TRY(sys::set_parent_death_signal(SIGKILL));
  if (!input.root.is_open()) return ok();
  TRY(sys::fchdir(input.root.get()));
  TRY(sys::chroot("."));
  return sys::chdir("/");
}

Status enter_all(const ExecInput& input) {
  TRY(enter_cgroups(input.cgroup_entries).during("enter cgroup"));
  return enter_container(input);
}

// Everything but stdio, what the caller hands over, and our way to talk.
Status close_the_hosts(const ExecInput& input) {
  std::vector<int> kept{input.channel.fd()};
  if (input.console.is_open()) kept.push_back(input.console.get());
  return close_all_but(static_cast<unsigned>(STDERR_FILENO + 1 + input.preserve_fds), std::move(kept));
}

Result<sys::CloneResult> clone_inside(const ExecInput& input) {
  if (input.attached_later) TRY(input.channel.expect(Step::go));
  TRY(enter_all(input));
  // Inherited by the clone, which must not have the host's /proc open where the container's processes see it.
  if (has_labels(input.plan)) TRY(set_labels_before_clone(input.proc.get(), input.plan));
  TRY(sys::setns(input.init.get(), CLONE_NEWPID).during("enter the container's pid namespace"));
  TRY(close_the_hosts(input));
  TRY(give_up_capabilities(input.plan).during("give up capabilities"));
  return sys::clone3({.flags = CLONE_PARENT, .exit_signal = 0}).during("clone");
}

Status tell_pid(const ExecInput& input, pid_t pid) {
  TRY(fault_point("exec-stage"));
  return input.channel.send_pid(pid);
}

// Closed when the stage before has set the labels.
const UniqueFd& proc_of(const ExecInput& input) {
  static const UniqueFd closed;
  return input.staged ? closed : input.proc;
}

Result<Payload> set_up(const ExecInput& input) {
  if (!input.staged) TRY(enter_all(input));
  TRY(start_session(input.plan, proc_of(input)).during("start session"));
  const auto root = TRY(RootDir::open("/"));
  if (input.plan.terminal) {
    auto pty = TRY(rootfs::open_terminal(root).during("open terminal"));
    TRY(take_terminal(std::move(pty), input.console, input.plan));
  } else {
    give_stdio(input.plan);
  }
  return set_up_process(input.plan, root, input.channel, input.own, proc_of(input));
}

Status go(const ExecInput& input) {
  auto payload = TRY(set_up(input));
  TRY(input.channel.expect(Step::go));  // handshake 1
  TRY(sys::set_parent_death_signal(0));
  TRY(input.channel.send(Step::ready));  // handshake 4
  for (int i = 0; i < input.preserve_fds; ++i) TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, false));
  TRY(offer_listener(payload, input.channel));
  return exec_payload(payload);
}

}  // namespace

void run_exec_stage(ExecInput& input) {
  for (const int fd : input.close_first) (void)::close(fd);
  input.close_first.clear();
  (void)sys::set_parent_death_signal(SIGKILL);
  const auto clone = clone_inside(input);
  if (!clone.has_value()) {
    (void)input.channel.send_error(clone.error());  // nothing better to do when the parent is gone
    ::_exit(1);
  }
  if (clone.value().pid == 0) return;
  const auto told = tell_pid(input, clone.value().pid);
  if (told.has_value()) ::_exit(0);
  (void)sys::kill(clone.value().pid, SIGKILL);  // nobody else knows of it
  (void)input.channel.send_error(told.error());
  ::_exit(1);
}

void run_exec(ExecInput& input) {
  for (const int fd : input.close_first) (void)::close(fd);
  (void)sys::set_parent_death_signal(SIGKILL);  // until the parent has written down who we are
  reset_signals();
  const auto failed = go(input);
  (void)input.channel.send_error(failed.error());  // nothing better to do when the parent is gone
  ::_exit(1);
}

}  // namespace husk::runtime
