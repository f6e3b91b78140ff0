#include "spawn.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "fault.h"
#include "hooks.h"
#include "init/init.h"
#include "init/join.h"
#include "listener.h"
#include "rootfs/id_map.h"
#include "init/loopback.h"
#include "labels.h"
#include "rootless.h"

namespace husk::runtime {
namespace {

using oci::NamespaceType;

constexpr const char* kOwnNetwork = "/proc/self/ns/net";

// The namespaces that children get, put back when this goes: hooks run in the host's.
class ChildNamespaces {
 public:
  ChildNamespaces() = default;
  ChildNamespaces(const ChildNamespaces&) = delete;
  ChildNamespaces& operator=(const ChildNamespaces&) = delete;
  ~ChildNamespaces() {
    // setns back to our own namespaces needs no right that we gave up.
    if (pid_.is_open()) (void)sys::setns(pid_.get(), CLONE_NEWPID);
    if (time_.is_open()) (void)sys::setns(time_.get(), CLONE_NEWTIME);
  }

  // man 2 setns: entering a pid namespace only affects children, so it is done just before the clone.
  Status enter_pid(const UniqueFd& fd) {
    pid_ = TRY(sys::openat(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY));
    return sys::setns(fd.get(), CLONE_NEWPID).during("join pid namespace");
  }
  Status make_time(const NamespacePlan& plan) {
    time_ = TRY(sys::openat(AT_FDCWD, "/proc/self/ns/time", O_RDONLY));
    const auto offsets = TRY(open_time_offsets());
    return make_time_namespace(plan, offsets.get());
  }

 private:
  UniqueFd pid_;
  UniqueFd time_;
};

Status enter_for_child(ChildNamespaces& entered, const NamespacePlan& plan, const JoinHandles& joins) {
  if (plan.staged) return ok();
  for (std::size_t i = 0; i < plan.joins.size(); ++i)
    if (plan.joins[i].type == NamespaceType::pid) TRY(entered.enter_pid(joins.fds[i]));
  if (plan.new_time) TRY(entered.make_time(plan));
  return ok();
}

Status hand_over_network(const Channel& channel) {
  const auto made = TRY(sys::openat(AT_FDCWD, kOwnNetwork, O_RDONLY));
  (void)channel.send_network(made);  // a child that is gone has said why: the next read tells
  return raise_loopback().during("bring up the loopback device");
}

// Half a millisecond of the kernel's time, and a quarter to bring up "lo" (which podman and others expect of the
// runtime), side by side with the child's mounts. The child enters by the descriptor.
Status make_network(const Channel& channel) {
  const auto own = TRY(sys::openat(AT_FDCWD, kOwnNetwork, O_RDONLY));
  TRY(sys::unshare(CLONE_NEWNET));
  auto done = hand_over_network(channel);
  TRY(sys::setns(own.get(), CLONE_NEWNET));  // hooks run in the host's
  return done;
}

Status write_id_maps(const NamespacePlan& plan, pid_t pid) {
  if (!plan.new_user) return ok();
  const auto directory = TRY(sys::openat(AT_FDCWD, format_text("/proc/{}", pid), O_PATH | O_DIRECTORY));
  TRY(write_existing(directory.get(), "gid_map", rootfs::id_map_text(plan.gid_mappings)).during("write gid map").hint(
      "mappings must not overlap and need CAP_SETGID"));
  return write_existing(directory.get(), "uid_map", rootfs::id_map_text(plan.uid_mappings)).during("write uid map").hint(
      "mappings must not overlap and need CAP_SETUID");
}

// Raising a hard limit needs CAP_SYS_RESOURCE of the host, which a child in a user namespace lacks.
// What cannot be raised here is warned about by the child, when it sets the limits for good.
void raise_hard_limits(const ContainerPlan& plan, pid_t pid) {
  if (!plan.namespaces.new_user || !plan.process.has_value()) return;
  for (const auto& item : plan.process->rlimits) (void)sys::raise_hard_limit(pid, item.resource, item.limit.hard);
}

std::uint32_t host_id(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
  for (const auto& item : mappings)
    if (id >= item.container_id && id - item.container_id < item.size) return item.host_id + (id - item.container_id);
  return id;
}

Status delegate_cgroup(const SpawnInput& input) {
  const auto& plan = input.plan;
  if (!plan.delegate_cgroup || !plan.process.has_value()) return ok();
  return input.cgroup
      .delegate(host_id(plan.namespaces.uid_mappings, plan.process->uid), host_id(plan.namespaces.gid_mappings, plan.process->gid))
      .during("give the cgroup to the container");
}

// A filter is a BPF program, which needs a right of the host's. Without it nobody in there can make a device, and what
// is bound in opens with the rights that its owner has outside.
Status restrict_devices(const SpawnInput& input) {
  auto done = input.cgroup.restrict_devices(input.plan.cgroup);
  if (done.has_value() || done.error().kind() != Kind::denied || !is_in_user_namespace())
    return std::move(done).during("restrict devices");
  log::debug(Error{done.error()}.during("no device filter in a user namespace").to_string());
  return ok();
}

bool has_host_hooks(const ContainerPlan& plan) {
  return !plan.hooks.prestart.empty() || !plan.hooks.create_runtime.empty();
}

Status run_host_hooks(const ContainerPlan& plan, const InitProcess& init, const oci::State& state) {
  if (!has_host_hooks(plan)) return ok();
  TRY(init.channel.expect(Step::mounted));  // handshake 2
  log::debug("mounts are made: {} prestart and {} createRuntime hooks run", plan.hooks.prestart.size(), plan.hooks.create_runtime.size());
  TRY(run_hooks(plan.hooks.prestart, "prestart", state, &init.pidfd));
  TRY(run_hooks(plan.hooks.create_runtime, "createRuntime", state, &init.pidfd));
  return init.channel.send(Step::hooks_ran);  // handshake 3
}

// A child with nothing to wait for works while we write its record: should we be killed before that,
// it ends with us (PR_SET_PDEATHSIG), and its mounts with it. Hooks leave traces of their own.
bool needs_go(const SpawnInput& input) {
  const auto& plan = input.plan;
  const bool has_score = plan.process.has_value() && plan.process->oom_score_adj.has_value();
  // A scope of systemd takes it in when it exists: before that, its cgroup is not its own.
  return plan.cgroup.scope.has_value() || plan.namespaces.new_user || has_score || plan.delegate_cgroup ||
         !plan.net_devices.empty() ||
         !plan.hooks.create_container.empty() || !plan.hooks.start_container.empty() || has_host_hooks(plan);
}

}  // namespace

Result<InitProcess> adopt_staged(const Channel& channel, const UniqueFd& stage) {
  // Its end first. Killed before it could say whom it had cloned (it may be the largest process of a container that is
  // out of memory), it leaves a process that waits for us, and with it the channel open: no message, no end of file.
  const auto ended = TRY(sys::waitid_pidfd(stage.get(), WEXITED));
  if (ended.signal != 0)
    return Error{Kind::internal, format_text("the process on its way into the container was killed by signal {}", ended.signal)}.hint(
        "is the container out of memory?");
  const auto pid = TRY(channel.expect_pid());
  // Our child and not waited for: its pid cannot be reused.
  auto pidfd = TRY(sys::pidfd_open(pid));
  return InitProcess{.pid = pid, .pidfd = std::move(pidfd), .channel = Channel{UniqueFd{}}};
}

Status set_oom_score(const ProcessPlan& plan, pid_t pid, bool warned) {
  if (!plan.oom_score_adj.has_value()) return ok();
  auto written =
      write_existing(AT_FDCWD, format_text("/proc/{}/oom_score_adj", pid), format_text("{}", *plan.oom_score_adj));
  if (written.has_value() || written.error().os_errno() != EACCES)
    return std::move(written).during("set /process/oomScoreAdj");
  if (!warned)
    log::warning(format_text("oomScoreAdj {} is not set: lowering the score needs CAP_SYS_RESOURCE", *plan.oom_score_adj));
  return ok();
}

Result<InitProcess> clone_init(const SpawnInput& input, Rollback& undo) {
  const auto& plan = input.plan;
  const auto joins = TRY(open_joins(plan.namespaces));
  const auto handles = TRY(rootfs::prepare(plan.rootfs).during("prepare rootfs"));
  UniqueFd proc;
  if (!plan.sysctls.empty() || (plan.process.has_value() && has_labels(*plan.process))) proc = TRY(open_verified_proc());
  const auto own = TRY(own_identity());
  auto channels = TRY(make_channels());
  auto cgroup_entries = TRY(input.cgroup.open_entries({}).during("enter cgroup"));
  ChildNamespaces entered;
  TRY(enter_for_child(entered, plan.namespaces, joins));
  InitInput init_input{.plan = plan,
                       .handles = handles,
                       .joins = joins,
                       .channel = channels.child,
                       .start_socket = input.start_socket,
                       .cgroup_entries = cgroup_entries,
                       .waits_for_go = needs_go(input),
                       .network_comes = plan.namespaces.parallel_network,
                       .console = input.console,
                       .proc = proc,
                       .own = own,
                       .preserve_fds = input.preserve_fds,
                       .listen_fds = input.listen_fds,
                       .close_first = input.close_in_child};
  init_input.close_first.push_back(channels.parent.fd());
  for (const int fd : {input.cgroup.clone_fd(), input.cgroup.lock_fd()})
    init_input.close_first.push_back(fd);  // a way into the host's cgroups, for who looks into init
  const auto flags = plan.namespaces.staged ? 0 : plan.namespaces.clone_flags;
  auto clone = sys::clone3({.flags = flags, .cgroup_fd = input.cgroup.clone_fd()});
  if (!clone.has_value()) return std::move(clone).error().during("clone the container's init");
  if (clone.value().pid == 0) {
    if (plan.namespaces.staged) run_stage(init_input);
    run_init(init_input);
  }
  channels.child.close();
  InitProcess init{.pid = clone.value().pid,
                   .pidfd = std::move(clone.value().pidfd),
                   .channel = Channel{UniqueFd{}}};
  if (plan.namespaces.staged) init = TRY(adopt_staged(channels.parent, init.pidfd));
  init.channel = std::move(channels.parent);
  // A child that nobody has waited for keeps its pid.
  undo.on_failure([pid = init.pid] {
    (void)sys::kill(pid, SIGKILL);  // may be over already
    (void)sys::waitpid(pid);
  });
  if (plan.namespaces.parallel_network) TRY(make_network(init.channel).during("make network namespace"));
  return init;
}

Status set_up_init(const SpawnInput& input, const InitProcess& init, const oci::State& state) {
  TRY(fault_point("enter-cgroup"));
  TRY(write_id_maps(input.plan.namespaces, init.pid));
  if (input.plan.process.has_value()) TRY(set_oom_score(*input.plan.process, init.pid, false));
  raise_hard_limits(input.plan, init.pid);
  TRY(delegate_cgroup(input));
  TRY(fault_point("id-maps"));
  TRY(restrict_devices(input));
  log::debug("limits and id maps are set: init goes on");
  (void)init.channel.send(Step::go);  // handshake 1; a child that is gone has said why: the next read tells
  TRY(run_host_hooks(input.plan, init, state));
  TRY(fault_point("host-hooks"));
  TRY(init.channel.expect(Step::ready));  // handshake 4
  log::debug("init is set up but for its program");
  if (input.start_socket.is_open()) return ok();
  return init.channel.expect_program([&](const ListenerOffer& offer) {  // handshake 6
    return deliver_listener({.path = input.plan.process->listener_path,
                             .metadata = input.plan.process->listener_metadata,
                             .pid = init.pid,
                             .pidfd = init.pidfd.get(),
                             .channel = init.channel.fd(),
                             .state = state},
                            offer);
  });
}

Error explain_death(const InitProcess& init, const std::string& cgroup_path, Error error) {
  if (error.kind() != Kind::unavailable && error.os_errno() != ECONNRESET && error.os_errno() != EPIPE) return error;
  const auto ended = sys::waitid_pidfd(init.pidfd.get(), WEXITED | WNOWAIT);
  const auto how = !ended.has_value() ? std::string{"for an unknown reason"}
                   : ended.value().signal != 0 ? format_text("by signal {}", ended.value().signal)
                                               : format_text("with status {}", ended.value().status);
  Error explained{Kind::internal, format_text("the container's init ended {} while it was set up", how)};
  if (!cgroup_path.empty() && cgroups::read_oom_kills(cgroup_path) > 0)
    return std::move(explained).hint(
        "\"/linux/resources/memory/limit\" is too small to start: the kernel's OOM killer ended it");
  return explained;
}

}  // namespace husk::runtime
