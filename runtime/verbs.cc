#include <signal.h>
#include <sys/socket.h>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/find_freezer.h"
#include "container.h"
#include "fault.h"
#include "hooks.h"
#include "listener.h"
#include "resctrl.h"

namespace husk::runtime {
namespace {

Error wrong_state(std::string text) { return Error{Kind::wrong_state, std::move(text)}; }

Status check_startable(const Record& record, Phase phase) {
  if (phase == Phase::running) return wrong_state("cannot start an already running container");
  if (phase == Phase::stopped) return wrong_state("cannot start a container that has stopped");
  if (!next(phase, Event::start).has_value())
    return wrong_state(format_text("cannot start a container in the {} state", name_of(phase)));
  if (!record.has_process)
    return Error{Kind::invalid, "cannot start a container without \"/process\" in its config.json"};
  return ok();
}

Status run_poststart(const Record& record, const oci::Hooks& hooks) {
  log::debug("{} poststart hooks run", hooks.poststart.size());
  return run_hooks(hooks.poststart, "poststart", make_state(record, Phase::running));
}

// The profile is read only now: a container with a listener is rare.
Status deliver(const ContainerDir& directory, const Record& record, const Channel& connection, const ListenerOffer& offer) {
  const auto spec = TRY(saved_spec(directory));
  if (!spec.linux.seccomp.has_value()) return Error{Kind::internal, "a seccomp listener without a profile"};
  const auto init = TRY(open_alive(record.init));
  if (!init.has_value()) return Error{Kind::internal, "the container's init ended before it ran the program"};
  return deliver_listener({.path = spec.linux.seccomp->listener_path,
                           .metadata = spec.linux.seccomp->listener_metadata,
                           .pid = record.init.pid,
                           .pidfd = init->get(),
                           .channel = connection.fd(),
                           .state = make_state(record, Phase::created)},
                          offer);
}

// Tells init to go on, waits until it did, runs poststart hooks.
Status let_start(const ContainerDir& directory, Record& record, const Channel& connection, const oci::Hooks& hooks) {
  TRY(fault_point("start-record"));
  log::debug("process {} is told to start", record.init.pid);
  TRY(connection.send(Step::start));  // handshake 5
  TRY(fault_point("start-told"));
  auto running = connection.expect_program(  // handshake 6
      [&](const ListenerOffer& offer) { return deliver(directory, record, connection, offer); });
  if (!running.has_value() && running.error().kind() == Kind::unavailable)
    return Error{Kind::internal, "the container's init ended before it ran the program"};
  TRY(std::move(running));
  TRY(fault_point("start-program"));
  log::debug("the program runs");
  record.stage = Stage::running;
  TRY(directory.write(record));
  TRY(fault_point("start-running"));
  return run_poststart(record, hooks);
}

// Unlike at the end, hooks that cannot be read stop a start.
Result<oci::Hooks> start_hooks(const ContainerDir& directory, const Record& record) {
  if (!record.has_late_hooks) return oci::Hooks{};
  auto spec = TRY(saved_spec(directory));
  return std::move(spec.hooks);
}

// SIGKILL reaches a process in the v1 freezer only after the thaw.
void thaw_for_kill(const Record& record, int signal) {
  if (signal != SIGKILL) return;
  const auto cgroup = open_cgroup(record);
  if (!cgroup.has_value()) return;
  (void)cgroup.value()->thaw_killed();  // what stays frozen is named by whoever waits for its end
}

Error not_running() { return wrong_state("container not running: no such process"); }

Status kill_whole_cgroup(const Record& record, int signal, bool stopped) {
  auto opened = open_cgroup(record);
  if (!opened.has_value()) return opened.error().kind() == Kind::not_found && stopped ? not_running() : opened.error();
  const auto cgroup = std::move(opened).value();
  if (stopped) {
    // Others may outlive the first process where its pid namespace is shared.
    const auto left = cgroup->processes();
    if (!left.has_value() || left.value().empty()) return not_running();
  }
  return cgroup->kill_all(signal);
}

// Somebody moved it out by hand: what is done to the cgroup does not reach it.
bool has_left_its_cgroup(const Record& record) {
  const auto cgroup = open_cgroup(record);
  return cgroup.has_value() && cgroup.value()->has_lost(record.init.pid);
}

// kill has done its part; the caller may wait for the end.
void warn_if_held(const Record& record, int signal) {
  if (signal != SIGKILL) return;
  const auto arrives = cgroups::check_kill_arrives(record.cgroup_path, record.cgroup_version);
  if (!arrives.has_value()) log::warning(Error{arrives.error()}.during("the container ends only after a thaw").to_string());
}

// Hooks of a container whose saved configuration cannot be read any more are lost; the rest is not.
oci::Hooks saved_hooks(const ContainerDir& directory, const Record& record) {
  if (!record.has_late_hooks) return {};
  auto spec = saved_spec(directory);
  if (spec.has_value()) return std::move(spec).value().hooks;
  log::warning(format_text("poststop hooks are skipped: {}", spec.error().to_string()));
  return {};
}

// A create or start that still runs holds the lock, perhaps for the sake of a hook in the container that
// never ends: ending its init makes it fail, roll back and let go.
Status lock_by_force(const ContainerDir& directory) {
  const auto locked = TRY(directory.try_lock());
  if (locked) return ok();
  const auto record = directory.read();
  if (record.has_value()) {
    const auto init = TRY(open_alive(record.value().init));
    if (init.has_value()) (void)sys::pidfd_send_signal(init->get(), SIGKILL);  // may be over already
  }
  return directory.lock();
}

// SIGKILL was sent. Not for ever: a process that the kernel holds would hold us, and our lock, with it.
Status wait_for_kill(const UniqueFd& pidfd, pid_t pid) {
  constexpr int kLimitMs = 10'000;
  if (TRY(wait_until_over(pidfd, kLimitMs))) return ok();
  return Error{Kind::timed_out, format_text("process {} did not end within {} ms after SIGKILL", pid, kLimitMs)}.hint(
      "it waits inside the kernel (a device, a network file system, a child that nobody reaps); delete it again when that is over");
}

// A create that was killed early has made a cgroup, or names one of somebody else, who is not to die for that: its own
// child ends with it (PR_SET_PDEATHSIG).
Status remove_unclaimed(const Record& record) {
  constexpr int kLimitMs = 1000;
  const auto cgroup = cgroups::open(record.cgroup_path, record.cgroup_version);
  if (!cgroup.has_value()) return cgroup.error().kind() == Kind::not_found ? ok() : Status{cgroup.error()};
  for (const auto pid : TRY(cgroup.value()->processes())) {
    const auto process = sys::pidfd_open(pid);
    if (!process.has_value() || TRY(wait_until_over(process.value(), kLimitMs))) continue;
    log::warning(format_text("cgroup {} is left alone: the container never was in it, and process {} is", quote(record.cgroup_path), pid));
    return ok();
  }
  return cgroup.value()->remove();
}

Status remove_cgroup(const Record& record) {
  if (!record.cgroup_claimed) return remove_unclaimed(record);
  const auto cgroup = open_cgroup(record);
  if (!cgroup.has_value()) return cgroup.error().kind() == Kind::not_found ? ok() : Status{cgroup.error()};
  return cgroup.value()->remove();
}

Status delete_by_force(const StateStore& store, const ContainerId& id) {
  const auto directory = store.open(id);
  if (!directory.has_value()) return directory.error().kind() == Kind::not_found ? ok() : Status{directory.error()};
  TRY(lock_by_force(directory.value()));
  return directory.value().is_gone() ? ok() : remove_locked(directory.value());
}

// Nothing without $NOTIFY_SOCKET, and for a container that was created without it.
Result<std::optional<NotifyProxy>> open_notify(const ContainerDir& directory, const std::string& host) {
  if (host.empty() || !sys::fstatat(directory.fd(), kNotifyDirectory, AT_SYMLINK_NOFOLLOW).has_value())
    return std::optional<NotifyProxy>{};
  auto proxy = TRY(NotifyProxy::open(format_text("{}/{}", directory.path(), kNotifyDirectory), host));
  return std::optional{std::move(proxy)};
}

// Others may work on the container while we wait.
Status wait_ready(const Opened& opened, const NotifyProxy& notify) {
  const auto init = TRY(open_alive(opened.record.init));
  opened.directory.unlock();
  return init.has_value() ? notify.wait_ready(opened.record.init.pid, *init) : ok();
}

}  // namespace

Result<Opened> open_locked(const StateStore& store, const ContainerId& id) {
  auto directory = TRY(store.open(id));
  TRY(directory.lock());
  if (directory.is_gone()) return does_not_exist(id.text());
  auto record = directory.read();
  if (!record.has_value()) return std::move(record).error();
  const auto phase = TRY(directory.live_phase(record.value()));
  return Opened{.directory = std::move(directory), .record = std::move(record).value(), .phase = phase};
}

Status start_container(const StateStore& store, const ContainerId& id, const std::string& notify_socket) {
  auto opened = TRY(open_locked(store, id));
  TRY(check_startable(opened.record, opened.phase));
  const auto notify = TRY(open_notify(opened.directory, notify_socket));
  const auto hooks = TRY(start_hooks(opened.directory, opened.record));
  const Channel connection{TRY(sys::connect_unix(format_text("{}/{}", opened.directory.path(), kStartSocket), SOCK_SEQPACKET)
                                   .during("reach the container's init"))};
  opened.record.stage = Stage::starting;
  TRY(opened.directory.write(opened.record));
  auto started = let_start(opened.directory, opened.record, connection, hooks);
  if (started.has_value()) return notify.has_value() ? wait_ready(opened, *notify) : started;
  // runtime.md#lifecycle steps 7 and 9 (since 1.3): a failed startContainer or poststart hook, and
  // what cannot be executed, stop the container and end in its deletion.
  const auto destroyed = destroy(opened.directory, opened.record, hooks);
  if (!destroyed.has_value()) log::warning(destroyed.error().to_string());
  return started;
}

Status finish_start(Created& created) {
  TRY(run_poststart(created.record, created.hooks));
  created.directory.unlock();
  return ok();
}

Status kill_container(const StateStore& store, const KillOptions& options) {
  const auto directory = TRY(store.open(options.id));
  auto record = directory.read();
  if (!record.has_value()) return std::move(record).error();
  const auto init = TRY(open_alive(record.value().init));
  if (options.all) {
    // Others than SIGKILL are sent while nobody can fork, and a pause must not come between. A hook of a
    // start that holds the lock may be who sends the signal: it is not waited for.
    if (options.signal != SIGKILL) (void)directory.try_lock();
    const bool has_left = init.has_value() && has_left_its_cgroup(record.value());
    TRY(kill_whole_cgroup(record.value(), options.signal, !init.has_value()));
    if (has_left) (void)sys::pidfd_send_signal(init->get(), options.signal);  // may be over meanwhile
    thaw_for_kill(record.value(), options.signal);
    warn_if_held(record.value(), options.signal);
    return ok();
  }
  if (!init.has_value()) return not_running();
  auto sent = sys::pidfd_send_signal(init->get(), options.signal);
  if (!sent.has_value() && sent.error().os_errno() == ESRCH) return not_running();
  if (!sent.has_value()) return sent;
  thaw_for_kill(record.value(), options.signal);
  warn_if_held(record.value(), options.signal);
  return ok();
}

Status destroy(const ContainerDir& directory, const Record& record, const oci::Hooks& hooks) {
  const auto init = TRY(open_alive(record.init));
  if (init.has_value()) {
    TRY(cgroups::check_kill_arrives(record.cgroup_path, record.cgroup_version));
    log::debug("process {} is killed", record.init.pid);
    auto sent = sys::pidfd_send_signal(init->get(), SIGKILL);
    if (!sent.has_value() && sent.error().os_errno() != ESRCH) return sent;
    thaw_for_kill(record, SIGKILL);
    TRY(wait_for_kill(*init, record.init.pid));
  }
  TRY(fault_point("delete-killed"));
  log::debug("cgroup {} is removed, then {} poststop hooks run", record.cgroup_path, hooks.poststop.size());
  TRY(remove_cgroup(record).during("remove cgroup"));
  TRY(remove_rdt(record.rdt));
  TRY(fault_point("delete-cgroup"));
  run_all_hooks(hooks.poststop, "poststop", make_state(record, Phase::stopped));
  TRY(fault_point("delete-hooks"));
  return directory.remove();
}

Status remove_after_end(Created& created) {
  TRY(created.directory.lock());
  if (created.directory.is_gone()) return ok();
  TRY(fault_point("run-over"));
  return destroy(created.directory, created.record, created.hooks);
}

Status remove_locked(const ContainerDir& directory) {
  const auto record = directory.read();
  if (record.has_value()) return destroy(directory, record.value(), saved_hooks(directory, record.value()));
  // Killed before its first record: there is only the directory.
  return record.error().kind() == Kind::not_found ? directory.remove() : remove_damaged(directory, record.error());
}

Status delete_container(const StateStore& store, const ContainerId& id, bool force) {
  if (force) return delete_by_force(store, id);
  const auto opened = TRY(open_locked(store, id));
  // A created container may be deleted without a kill, as callers expect of every runtime
  // (runtime.md#delete asks for "stopped" only; decision in README.md).
  if (opened.phase != Phase::stopped && opened.phase != Phase::created)
    return wrong_state(format_text("cannot delete container {} that is not stopped: {}", id.text(), name_of(opened.phase)))
        .hint("husk kill it first, or use --force");
  return destroy(opened.directory, opened.record, saved_hooks(opened.directory, opened.record));
}

Status pause_container(const StateStore& store, const ContainerId& id) {
  const auto opened = TRY(open_locked(store, id));
  if (!next(opened.phase, Event::pause).has_value())
    return wrong_state(format_text("container not running or created: {}", name_of(opened.phase)));
  const auto cgroup = TRY(open_cgroup(opened.record));
  if (cgroup->has_lost(opened.record.init.pid))
    return wrong_state(format_text("process {}, the container's first, is not in its cgroup {} any more: somebody moved it",
                                   opened.record.init.pid, quote(cgroup->path())))
        .hint("move it back (write its pid to cgroup.procs there), or husk kill the container");
  TRY(cgroup->freeze().during("freeze cgroup"));
  if (TRY(open_alive(opened.record.init)).has_value()) return ok();
  (void)cgroup->thaw();  // it ended meanwhile; who is left of a shared pid namespace goes on
  return not_running();
}

Status resume_container(const StateStore& store, const ContainerId& id) {
  const auto opened = TRY(open_locked(store, id));
  if (opened.phase != Phase::paused) return wrong_state(format_text("container not paused: {}", name_of(opened.phase)));
  const auto cgroup = TRY(open_cgroup(opened.record));
  TRY(cgroup->thaw().during("thaw cgroup"));
  return cgroups::check_parents_thawed(cgroup->path(), opened.record.cgroup_version);
}

}  // namespace husk::runtime
