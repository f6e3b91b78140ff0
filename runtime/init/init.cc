#include "init/init.h"

#include <signal.h>
#include <sched.h>
#include <unistd.h>

#include "base/format.h"
#include "base/process.h"
#include "base/sys.h"
#include "fault.h"
#include "hooks.h"
#include "init/credentials.h"
#include "init/join.h"
#include "init/loopback.h"
#include "init/process_setup.h"
#include "init/signals.h"
#include "init/terminal.h"
#include "record.h"

namespace husk::runtime {
namespace {

oci::State hook_state(const ContainerPlan& plan, Phase phase) {
  Record record{.id = plan.id, .bundle = plan.bundle, .rootfs = plan.rootfs.rootfs, .annotations = plan.annotations};
  record.init.pid = ::getpid();  // as the hook sees it: it runs in this pid namespace
  return make_state(record, phase);
}

// Once; before anything that looks at the network namespace.
Status enter_network(InitInput& input) {
  if (!input.network_comes) return ok();
  const auto ns = TRY(input.channel.expect_network());
  input.network_comes = false;
  return sys::setns(ns.get(), CLONE_NEWNET).during("enter the new network namespace");
}

Status name_host(InitInput& input) {
  const auto& plan = input.plan;
  if (!plan.hostname.empty()) TRY(sys::sethostname(plan.hostname));
  if (!plan.domainname.empty()) TRY(sys::setdomainname(plan.domainname));
  if (plan.sysctls.empty()) return ok();
  TRY(enter_network(input));
  return apply_sysctls(input.proc.get(), plan.sysctls);
}

Status run_create_hooks(const InitInput& input) {
  const auto& hooks = input.plan.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty()) {
    TRY(input.channel.send(Step::mounted));      // handshake 2
    TRY(input.channel.expect(Step::hooks_ran));  // handshake 3
  }
  return run_hooks(hooks.create_container, "createContainer", hook_state(input.plan, Phase::creating));
}

struct Entered {
  RootDir root;
};

Result<Entered> enter_rootfs(InitInput& input) {
  const auto& plan = input.plan;
  const auto applied = TRY(
      rootfs::apply(plan.rootfs, input.handles, [&input] { return enter_network(input); }).during("set up rootfs"));
  TRY(fault_point("mounts"));
  TRY(run_create_hooks(input));
  TRY(fault_point("create-container-hooks"));
  const bool terminal = plan.process.has_value() && plan.process->terminal;
  rootfs::Terminal pty;
  if (terminal) {
    pty = TRY(rootfs::open_terminal(applied.root).during("open terminal"));
    TRY(rootfs::bind_console(applied, pty.slave).during("bind /dev/console"));
  }
  TRY(rootfs::enter(plan.rootfs, applied).during("enter rootfs"));
  TRY(fault_point("pivot"));
  TRY(rootfs::finish(plan.rootfs).during("finish rootfs"));
  if (terminal) {
    TRY(take_terminal(std::move(pty), input.console, *plan.process));
  } else if (plan.process.has_value()) {
    give_stdio(*plan.process);
  }
  auto root = TRY(RootDir::open("/"));
  return Entered{std::move(root)};
}

Status enter_namespaces(InitInput& input) {
  const auto& namespaces = input.plan.namespaces;
  if (!namespaces.staged) TRY(join_namespaces(namespaces, input.joins));
  // Only now: the root of a new cgroup namespace is the cgroup its maker is in.
  if (namespaces.new_cgroup) TRY(sys::unshare(CLONE_NEWCGROUP).during("make cgroup namespace"));
  if (namespaces.staged || namespaces.new_user) TRY(become_namespace_root().during("become root of the user namespace"));
  // A change of user clears it. Source: man 2 PR_SET_PDEATHSIG.
  TRY(sys::set_parent_death_signal(SIGKILL));
  TRY(fault_point("namespaces"));
  if ((namespaces.clone_flags & CLONE_NEWNET) != 0) TRY(raise_loopback().during("bring up the loopback device"));
  return name_host(input);
}

// Everything but the program. The result is empty for a container without a process.
Result<std::optional<Payload>> set_up(InitInput& input) {
  TRY(enter_cgroups(input.cgroup_entries).during("enter cgroup"));
  if (input.waits_for_go) TRY(enter_network(input));
  if (input.waits_for_go) TRY(input.channel.expect(Step::go));  // handshake 1
  TRY(enter_namespaces(input));
  if (input.plan.process.has_value()) TRY(start_session(*input.plan.process, input.proc).during("start session"));
  const auto entered = TRY(enter_rootfs(input));
  if (!input.plan.process.has_value()) return std::optional<Payload>{};
  auto payload = TRY(set_up_process(*input.plan.process, entered.root, input.channel, input.own, input.proc));
  TRY(fault_point("credentials"));
  return std::optional{std::move(payload)};
}

// A connection that says "start" ends the wait; one that only asks whether we still wait does not.
Result<Channel> wait_for_start(InitInput& input) {
  for (;;) {
    Channel connection{TRY(sys::accept(input.start_socket.get()))};
    if (!connection.expect(Step::start).has_value()) continue;  // handshake 5
    input.start_socket.reset();
    return connection;
  }
}

Status start_payload(const InitInput& input, const Channel& channel, Payload& payload) {
  TRY(run_hooks(input.plan.hooks.start_container, "startContainer", hook_state(input.plan, Phase::created)));
  TRY(channel.send(Step::executing));  // handshake 6
  for (int i = 0; i < input.preserve_fds; ++i) TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, false));
  TRY(offer_listener(payload, channel));
  return exec_payload(payload);
}

void announce_fds(const InitInput& input, std::optional<Payload>& payload) {
  if (input.listen_fds == 0 || !payload.has_value()) return;
  auto env = payload->envp.items();
  env.push_back(format_text("LISTEN_FDS={}", input.listen_fds));
  env.push_back(format_text("LISTEN_PID={}", ::getpid()));  // man 3 sd_listen_fds: the pid must match
  payload->envp = ArgBlock{std::move(env)};
}

// Who waits for its start may wait for long, where other processes of the container can look.
Status close_the_hosts(const InitInput& input) {
  if (!input.start_socket.is_open()) return ok();
  return close_all_but(static_cast<unsigned>(STDERR_FILENO + 1 + input.preserve_fds),
                       {input.channel.fd(), input.start_socket.get()});
}

[[noreturn]] void fail(const Channel& channel, const Error& error) {
  (void)channel.send_error(error);  // nothing better to do when the parent is gone
  ::_exit(1);
}

}  // namespace

void run_init(InitInput& input) {
  for (const int fd : input.close_first) (void)::close(fd);
  // The parent may die before it has written down that we exist.
  (void)sys::set_parent_death_signal(SIGKILL);
  reset_signals();
  auto payload = set_up(input);
  if (!payload.has_value()) fail(input.channel, payload.error());
  if (!input.waits_for_go && !input.channel.expect(Step::go).has_value()) ::_exit(1);  // handshake 1, the late one
  announce_fds(input, payload.value());
  if (const auto closed = close_the_hosts(input); !closed.has_value()) fail(input.channel, closed.error());
  (void)sys::set_parent_death_signal(0);
  if (!input.channel.send(Step::ready).has_value()) ::_exit(1);  // handshake 4
  if (!input.start_socket.is_open()) fail(input.channel, start_payload(input, input.channel, *payload.value()).error());
  const auto connection = wait_for_start(input);
  if (!connection.has_value()) ::_exit(1);
  if (!payload.value().has_value())
    fail(connection.value(), Error{Kind::invalid, "the container has no process to start"});
  fail(connection.value(), start_payload(input, connection.value(), *payload.value()).error());
}

void run_stage(InitInput& input) {
  for (const int fd : input.close_first) (void)::close(fd);
  const auto& namespaces = input.plan.namespaces;
  (void)sys::set_parent_death_signal(SIGKILL);
  auto entered = join_namespaces_before_clone(namespaces, input.joins);
  if (!entered.has_value()) fail(input.channel, entered.error());
  auto clone = sys::clone3({.flags = namespaces.clone_flags | CLONE_PARENT, .exit_signal = 0});
  if (!clone.has_value()) fail(input.channel, std::move(clone).error().during("clone the container's init"));
  if (clone.value().pid == 0) {
    input.close_first.clear();
    return;
  }
  if (!input.channel.send_pid(clone.value().pid).has_value()) ::_exit(1);
  ::_exit(0);
}

}  // namespace husk::runtime
