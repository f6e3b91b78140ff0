#include "exec.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>

#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/pids_limit.h"
#include "cgroups/tree.h"
#include "console.h"
#include "container.h"
#include "fault.h"
#include "init/exec_init.h"
#include "listener.h"
#include "pidfd_socket.h"
#include "labels.h"
#include "plan.h"
#include "resctrl.h"
#include "self_protect.h"
#include "spawn.h"
#include "user_namespace.h"

namespace husk::runtime {
namespace {

struct Target {
  Record record;
  oci::Spec spec;
  UniqueFd init;
};

Result<Target> open_target(const StateStore& store, const ExecOptions& options) {
  const auto directory = TRY(store.open(options.id));
  auto record = directory.read();
  if (!record.has_value()) return std::move(record).error();
  const auto phase = TRY(directory.live_phase(record.value()));
  if (phase == Phase::paused && !options.ignore_paused)
    return Error{Kind::wrong_state, "cannot exec in a paused container (use --ignore-paused to override)"};
  auto init = TRY(open_alive(record.value().init));
  if (!init.has_value())
    return Error{Kind::wrong_state, "cannot exec in a stopped container: container not running: no such process"};
  if (phase == Phase::creating) return Error{Kind::wrong_state, "cannot exec in a container that is being created"};
  auto spec = TRY(saved_spec(directory));
  return Target{.record = std::move(record).value(), .spec = std::move(spec), .init = std::move(init).value()};
}

Status check_terminal(const oci::Process& process, const ExecOptions& options) {
  if (process.terminal && options.detach && options.console_socket.empty())
    return Error{Kind::invalid, "cannot allocate tty if husk will detach without setting console socket"}.hint(
        "give --console-socket");
  if (!options.console_socket.empty() && !process.terminal)
    return Error{Kind::invalid, "cannot use console socket if husk will not detach or allocate tty"}.hint("give --tty");
  return ok();
}

// The cgroup of init itself: the container's own may have been divided, and then takes no processes
// (the "no internal processes" rule of man 7 cgroups).
Result<UniqueFd> init_cgroup(pid_t init) {
  const auto path = cgroups::find_path_of(init);
  if (path.empty()) return Error{Kind::not_found, "init is in no cgroup of version 2"};
  return sys::openat(AT_FDCWD, format_text("/sys/fs/cgroup{}", path), O_PATH | O_DIRECTORY);
}

// "workers" → "/workers", as systemd wants it; "" stays.
std::string below_cgroup(const ExecOptions& options) {
  return options.cgroups.empty() || options.cgroups.front().path.empty() ? std::string{} : "/" + options.cgroups.front().path;
}

// --cgroup of v2: components below the container's cgroup; the kernel refuses ".." (runc 5403).
Result<UniqueFd> sub_cgroup(const cgroups::Cgroup& cgroup, const cgroups::Below& below) {
  if (cgroup.clone_fd() < 0)
    return Error{Kind::unsupported, "--cgroup: the container has no cgroup"}.hint("leave the option out");
  if (!below.controllers.empty())
    return Error{Kind::invalid, format_text("--cgroup: cgroup version 2 has one hierarchy for all controllers, {} too", below.controllers.front())}
        .hint("give the path alone");
  const open_how how{.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                     .mode = 0,
                     .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
  return sys::openat2(cgroup.clone_fd(), below.path.empty() ? "." : below.path, how)
      .during("--cgroup")
      .hint("name a cgroup that is there, below the container's own");
}

struct Clone {
  sys::CloneResult process;
  bool attached_later = false;  // the kernel does not let it be born in the cgroup; somebody else may move it there
};
Result<Clone> clone_at(int cgroup_fd, bool attached_later = false) {
  auto process = TRY(sys::clone3({.cgroup_fd = cgroup_fd}));
  return Clone{.process = std::move(process), .attached_later = attached_later};
}

Result<Clone> clone_into(const Target& target, const cgroups::Cgroup& cgroup, const ExecOptions& options) {
  UniqueFd sub;
  const bool v1 = target.record.cgroup_version == cgroups::Version::v1;
  if (!v1 && !options.cgroups.empty()) sub = TRY(sub_cgroup(cgroup, options.cgroups.front()));
  auto clone = clone_at(sub.is_open() ? sub.get() : cgroup.clone_fd());
  if (clone.has_value()) return clone;
  const int refusal = clone.error().os_errno();
  if (refusal == EACCES && cgroup.can_attach()) return clone_at(-1, true);
  if (sub.is_open()) return clone;
  const bool divided = refusal == EBUSY || refusal == EOPNOTSUPP;
  if (!divided || v1) return clone;
  const auto other = TRY(init_cgroup(target.record.init.pid));
  return clone_at(other.get());
}

struct Started {
  pid_t pid = 0;
  UniqueFd pidfd;
  UniqueFd terminal;
};

// A child that waits: the stage at its beginning, else at handshake 1. It ends when this fails.
Status attach(cgroups::Cgroup& cgroup, const std::string& below, const Started& child, const Channel& channel, bool staged) {
  auto attached = cgroup.attach(child.pid, below);
  if (attached.has_value()) return staged ? channel.send(Step::go) : ok();
  (void)sys::kill(child.pid, SIGKILL);
  (void)sys::waitpid(child.pid);
  return attached;
}

// Talks the child through its steps; the last one is the exec, which closes its end.
Status lead(const Target& target, const ProcessPlan& plan, const Channel& channel, const Started& started) {
  const auto& first = target.spec.process;
  TRY(set_oom_score(plan, started.pid, first.has_value() && first->oom_score_adj == plan.oom_score_adj));
  (void)channel.send(Step::go);      // handshake 1; a child that is gone has said why: the next read tells
  TRY(channel.expect(Step::ready));  // handshake 4
  return channel.expect_close([&](const ListenerOffer& offer) {
    return deliver_listener({.path = plan.listener_path,
                             .metadata = plan.listener_metadata,
                             .pid = started.pid,
                             .pidfd = started.pidfd.get(),
                             .channel = channel.fd(),
                             .state = make_state(target.record, Phase::running)},
                            offer);
  });
}

// The terminal, the pidfd and, last of all, the pid file.
Status hand_over(const Console& console, const ExecOptions& options, Started& started, Rollback& undo) {
  started.terminal = TRY(receive_terminal(console));
  TRY(send_pidfd(console.pidfd, started.pidfd));
  if (!options.pid_file.empty()) {
    undo.on_failure([path = options.pid_file] { (void)sys::unlinkat(AT_FDCWD, path); });
    TRY(write_pid_file(options.pid_file, started.pid));
  }
  return fault_point("exec-pid-file");
}

Result<Started> start_exec(const Target& target, const ProcessPlan& plan, const ExecOptions& options,
                           const Console& console) {
  const auto cgroup = TRY(open_cgroup(target.record));
  const auto namespaces = TRY(namespaces_to_enter(target.spec, target.record.init.pid));
  const auto root = TRY(open_own_root(target.record));
  UniqueFd proc;
  if (has_labels(plan)) proc = TRY(open_verified_proc());
  const auto own = TRY(own_identity());
  auto channels = TRY(make_channels());
  auto cgroup_entries = TRY(cgroup->open_entries(options.cgroups).during(options.cgroups.empty() ? "enter cgroup" : "--cgroup"));
  // In a user namespace nobody has CAP_SYS_PTRACE over a process that began outside (CVE-2016-9962).
  const bool staged = namespaces.pid && (namespaces.others & CLONE_NEWUSER) == 0;
  // man 2 setns: entering a pid namespace only affects children.
  if (namespaces.pid && !staged)
    TRY(sys::setns(target.init.get(), CLONE_NEWPID).during("enter the container's pid namespace"));
  // config.md#linux-process: before the transition to the container's cgroup, whose cpuset need not have these.
  if (plan.initial_affinity.has_value())
    TRY(sys::sched_setaffinity(0, *plan.initial_affinity).during("apply /process/execCPUAffinity/initial"));
  auto clone = TRY(clone_into(target, *cgroup, options).during("clone"));
  if (clone.process.pid == 0) {
    ExecInput input{.plan = plan,
                    .channel = channels.child,
                    .cgroup_entries = cgroup_entries,
                    .init = target.init,
                    .namespaces = namespaces.others,
                    .staged = staged,
                    .attached_later = clone.attached_later,
                    .root = root,
                    .proc = proc,
                    .console = console.child,
                    .own = own,
                    .preserve_fds = options.preserve_fds,
                    .close_first = {channels.parent.fd(), console.master.get(), cgroup->clone_fd()}};
    if (staged) run_exec_stage(input);
    run_exec(input);
  }
  channels.child.close();
  log::debug("process {} enters namespaces of {}, cgroup {}", clone.process.pid, target.record.init.pid, target.record.cgroup_path);
  Started started{.pid = clone.process.pid, .pidfd = std::move(clone.process.pidfd), .terminal = UniqueFd{}};
  if (clone.attached_later) TRY(attach(*cgroup, below_cgroup(options), started, channels.parent, staged).during("enter cgroup"));
  if (staged) {
    auto adopted = TRY(adopt_staged(channels.parent, started.pidfd));
    started.pid = adopted.pid;
    started.pidfd = std::move(adopted.pidfd);
  }
  Rollback undo;
  undo.on_failure([pid = started.pid] {
    (void)sys::kill(pid, SIGKILL);  // may be over already
    (void)sys::waitpid(pid);
  });
  TRY(fault_point("exec-clone"));
  TRY(join_rdt(target.record.rdt, started.pid));
  TRY(lead(target, plan, channels.parent, started));
  TRY(fault_point("exec-program"));
  log::debug("process {} runs its program", started.pid);
  TRY(hand_over(console, options, started, undo));
  undo.commit();
  return started;
}

}  // namespace

Result<int> exec_in_container(const StateStore& store, const ExecOptions& options) {
  TRY(run_from_readonly_mount(options.preserve_fds));
  const auto target = TRY(open_target(store, options));
  TRY(enter_user_namespace_of(target.init, options.preserve_fds));
  const auto process = TRY(merge_process(target.spec, options));
  TRY(check_labels(&process, ""));
  TRY(check_terminal(process, options));
  const auto filters = store.seccomp_cache();
  auto plan = TRY(make_process_plan(process, target.spec.linux, {.container_id = target.record.id, .is_exec = true, .filters = &filters, .annotations = target.spec.annotations}));
  if (process.terminal && options.console_socket.empty()) plan.console_size = own_terminal_size();
  const auto console = TRY(connect_console(process.terminal, options.console_socket, options.pidfd_socket));
  std::optional<Foreground> foreground;
  if (!options.detach) foreground = TRY(Foreground::create(false));
  auto begun = start_exec(target, plan, options, console);
  if (!begun.has_value()) return cgroups::explain_no_process(std::move(begun).error(), target.record.cgroup_path, target.record.cgroup_version);
  auto started = std::move(begun).value();
  if (!foreground.has_value()) return 0;
  return foreground->wait(started.pid, started.pidfd, std::move(started.terminal));
}

}  // namespace husk::runtime
