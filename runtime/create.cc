#include <errno.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "annotations.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/pids_limit.h"
#include "checkpoint.h"
#include "console.h"
#include "container.h"
#include "fault.h"
#include "foreground.h"
#include "hooks.h"
#include "labels.h"
#include "listener.h"
#include "net_devices.h"
#include "oci-spec/parse_config.h"
#include "pidfd_socket.h"
#include "resctrl.h"
#include "rootless.h"
#include "self_protect.h"
#include "user_namespace.h"

namespace husk::runtime {
namespace {

// A terminal that is shown on ours has its size from the first byte on.
void use_own_size(ProcessPlan& process) {
  const auto size = own_terminal_size();
  if (process.terminal && size.has_value()) process.console_size = size;
}

// The one of --pidfd-socket, or of crun's annotation.
std::string pidfd_socket_of(const ContainerPlan& plan, const CreateOptions& options) {
  const auto* receiver = find_annotation(plan.annotations, kPidfdReceiver);
  return options.pidfd_socket.empty() && receiver != nullptr ? *receiver : options.pidfd_socket;
}

void warn_of_unused(const rootfs::RootfsPlan& plan) {
  for (const auto& op : plan.mounts)
    if (!op.unused.empty())
      log::warning(format_text("{}: option {} means nothing on a bind mount and is left out", quote(op.pointer), quote(op.unused)));
}

// Room 4: from here on the id is ours and `delete --force` finds what we do.
Result<ContainerDir> reserve(const StateStore& store, const CreateOptions& options, const Record& record,
                             const std::string& config, Rollback& undo) {
  auto directory = TRY(store.reserve(options.id));
  undo.on_failure([path = directory.path()] { (void)remove_state(path); });
  TRY(directory.write_config(config));
  TRY(directory.write(record));
  TRY(fault_point("reserve"));
  return directory;
}

// The socket is made by who will listen: here with run, else at the start.
Result<std::optional<NotifyProxy>> make_notify(const ContainerDir& directory, const std::string& path,
                                               const CreateOptions& options, StartThrough through) {
  if (options.notify_socket.empty()) return std::optional<NotifyProxy>{};
  TRY(sys::mkdirat(directory.fd(), kNotifyDirectory, 0755));
  TRY(sys::fchmodat(directory.fd(), kNotifyDirectory, 0755));
  if (through == StartThrough::socket) return std::optional<NotifyProxy>{};
  auto proxy = TRY(NotifyProxy::open(path, options.notify_socket));
  return std::optional{std::move(proxy)};
}

// What must not live on in the child.
std::vector<int> ours_alone(const ContainerDir& directory, const Console& console, const std::optional<NotifyProxy>& proxy) {
  std::vector<int> fds{directory.fd(), console.master.get()};
  if (proxy.has_value())
    for (const int fd : proxy->descriptors()) fds.push_back(fd);
  return fds;
}

// Room 5.
Result<std::shared_ptr<cgroups::Cgroup>> make_cgroup(const ContainerPlan& plan, const oci::Spec& spec, Record& record,
                                                     Rollback& undo) {
  if (plan.cgroup.driver == cgroups::Driver::disabled) return std::shared_ptr{cgroups::none()};
  auto made = cgroups::create(plan.cgroup, cgroups::Devices::later);
  if (!made.has_value() && made.error().kind() == Kind::denied &&
      can_do_without_cgroup(plan.cgroup, spec.linux.cgroups_path)) {
    // Nobody asked for a limit. Device rules go with it: in a user namespace no device node can be made.
    log::debug("runs without a cgroup: {}", made.error().to_string());
    record.cgroup_path.clear();
    record.cgroup_claimed = true;
    record.cgroup_driver = cgroups::Driver::disabled;
    return std::shared_ptr{cgroups::none()};
  }
  std::shared_ptr<cgroups::Cgroup> cgroup = TRY(std::move(made));
  undo.on_failure([cgroup] { (void)cgroup->remove(); });
  record.cgroup_claimed = true;  // written down with init
  TRY(fault_point("cgroup"));
  return cgroup;
}

Result<UniqueFd> listen_for_start(const ContainerDir& directory, StartThrough through) {
  if (through == StartThrough::nothing) return UniqueFd{};
  return sys::listen_unix(format_text("{}/{}", directory.path(), kStartSocket), SOCK_SEQPACKET, 4, 0600)
      .during("make the start socket");
}

// runtime.md#lifecycle: a failed hook of create ends in deletion, and deletion runs poststop hooks.
void run_poststop_on_failure(Rollback& undo, const Record& record, const oci::Hooks& hooks) {
  if (hooks.poststop.empty()) return;
  undo.on_failure([record, poststop = hooks.poststop] {
    run_all_hooks(poststop, "poststop", make_state(record, Phase::stopped));
  });
}

// Room 6: a scope of systemd is made round a process.
Status enter_scope(cgroups::Cgroup& cgroup, Created& created) {
  TRY(adopt_into_scope(cgroup, created, created.init.pid));
  return fault_point("scope");
}

Result<InitProcess> clone_explained(const SpawnInput& input, Rollback& undo) {
  const auto& cgroup = input.plan.cgroup;
  auto cloned = clone_init(input, undo);
  if (!cloned.has_value()) return cgroups::explain_no_process(std::move(cloned).error(), cgroup.path, cgroup.version);
  log::debug("init is process {}, its cgroup {}", cloned.value().pid, cgroup.path);
  return cloned;
}

Status set_up(const SpawnInput& input, Created& created) {
  auto done = set_up_init(input, created.init, make_state(created.record, Phase::creating));
  if (done.has_value()) return ok();
  return explain_death(created.init, created.record.cgroup_path, std::move(done).error());
}

// Room 8: the pid file is the last thing: its presence means "created".
Status commit(Created& created, const CreateOptions& options, StartThrough through, const Console& console, Rollback& undo) {
  created.record.stage = through == StartThrough::socket ? Stage::created : Stage::running;
  TRY(created.directory.write(created.record));
  TRY(fault_point("commit"));
  TRY(send_pidfd(console.pidfd, created.init.pidfd));
  if (options.pid_file.empty()) return ok();
  undo.on_failure([path = options.pid_file] { (void)sys::unlinkat(AT_FDCWD, path); });
  TRY(write_pid_file(options.pid_file, created.init.pid));
  return fault_point("pid-file");
}

}  // namespace

Record first_record(const ContainerPlan& plan) {
  return {.id = plan.id,
          .stage = Stage::creating,
          .bundle = plan.bundle,
          .rootfs = plan.rootfs.rootfs,
          .created_ns = now_unix_ns(),
          .init = {},
          .cgroup_path = plan.cgroup.driver == cgroups::Driver::cgroupfs ? plan.cgroup.path : "",
          .cgroup_claimed = plan.cgroup.driver != cgroups::Driver::cgroupfs,
          .cgroup_version = plan.cgroup.version,
          .cgroup_driver = plan.cgroup.driver,
          .scope = plan.cgroup.scope.has_value() ? plan.cgroup.scope->unit : "",
          .scope_manager = plan.cgroup.scope.has_value() ? plan.cgroup.scope->manager : cgroups::systemd::Manager::system,
          .no_pivot = plan.rootfs.no_pivot || plan.rootfs.joined,
          .has_process = plan.process.has_value(),
          .has_late_hooks = !plan.hooks.poststart.empty() || !plan.hooks.poststop.empty(),
          .annotations = plan.annotations};
}

// Looked at first, so that nothing of somebody else's is ever in our record; written down before it is made.
Status make_rdt(const ContainerDir& directory, const oci::Spec& spec, Record& record, Rollback& undo) {
  if (!spec.linux.intel_rdt.has_value()) return ok();
  const auto plan = plan_rdt(*spec.linux.intel_rdt, record.id);
  const auto resctrl = TRY(Resctrl::open());
  TRY(resctrl.check(plan));
  record.rdt = plan.record;
  TRY(directory.write(record));
  const bool made = TRY(resctrl.make(plan));
  auto ours = plan.record;
  ours.own_group = made;
  undo.on_failure([ours] { (void)remove_rdt(ours); });
  return ok();
}

// Until systemd has made it, a unit of that name is somebody else's, and so is its cgroup: the record names none. What is
// left of a create that is killed meanwhile is a process of ours, and the scope round it ends with that.
Status adopt_into_scope(cgroups::Cgroup& cgroup, Created& created, pid_t process) {
  return cgroup.adopt(process, [&]() -> Status {
    created.record.cgroup_path = cgroup.path();
    created.record.cgroup_id = cgroup.id();
    return created.directory.write(created.record);
  }).during("create cgroup");
}

Status write_pid_file(const std::string& path, pid_t pid) {
  return write_atomically(AT_FDCWD, path, format_text("{}", pid)).during("write pid file").hint("--pid-file must name a file in a directory that is there");
}

// A pipe gives its text once, and husk may have to start anew: that comes first, or cannot be.
Status start_anew_before_pipe(const std::string& path, const CreateOptions& options) {
  const auto info = sys::fstatat(AT_FDCWD, path, 0);
  if (!info.has_value() || S_ISREG(info.value().st_mode)) return ok();
  if (::geteuid() != 0)
    return Error{Kind::invalid, "a plain user's husk reads its configuration twice: it must be a regular file"};
  return run_from_readonly_mount(options.preserve_fds);
}

// Room 1: the text is read once; later edits of the file change nothing.
Result<std::string> read_config_file(const CreateOptions& options) {
  const auto path = options.config_path.empty() ? options.bundle + "/config.json" : options.config_path;
  TRY(start_anew_before_pipe(path, options));
  auto text = read_file(path, oci::JsonLimits{}.max_bytes).during("read configuration");
  if (text.has_value()) return text;
  const bool missing = text.error().os_errno() == ENOENT || text.error().os_errno() == ENOTDIR;
  if (missing && options.config_path.empty())
    return std::move(text).hint("--bundle must name a directory with config.json: husk spec writes one");
  if (missing) return std::move(text).hint("--config must name the configuration");
  return std::move(text).hint(format_text("the configuration must be a file of at most {} MiB", oci::JsonLimits{}.max_bytes >> 20U));
}

Result<oci::Spec> saved_spec(const ContainerDir& directory) {
  const auto text = TRY(directory.read_config());
  return oci::parse_config(text).during("the container's saved configuration");
}

Result<Created> create_container(const StateStore& store, const CreateOptions& options, StartThrough through,
                                 const std::function<Status()>& begin) {
  const auto config = TRY(read_config_file(options));
  auto spec = TRY(oci::parse_config(config).during("config.json"));
  TRY(enter_new_user_namespace(spec, options.preserve_fds));
  const auto notify = format_text("{}/{}/{}", store.root(), options.id.text(), kNotifyDirectory);
  if (!options.notify_socket.empty()) add_notify(spec, notify);
  TRY(check_labels(spec.process.has_value() ? &*spec.process : nullptr, spec.linux.mount_label));
  const auto filters = store.seccomp_cache();
  auto plan = TRY(make_container_plan(spec, options, &filters));
  if (is_in_container_user_namespace()) adopt_user_namespace(plan.namespaces);
  if (options.foreground && plan.process.has_value() && plan.process->terminal) use_own_size(*plan.process);
  if (through == StartThrough::nothing && !plan.process.has_value())
    return Error{Kind::invalid, "cannot start a container without \"/process\" in its config.json"};
  // Somebody else's processes may be alive in the container's pid namespace.
  if ((plan.namespaces.clone_flags & CLONE_NEWPID) == 0) TRY(run_from_readonly_mount(options.preserve_fds));
  if (plan.process.has_value() && !plan.process->listener_path.empty()) TRY(check_agent(plan.process->listener_path));
  const bool terminal = plan.process.has_value() && plan.process->terminal;
  const auto console = TRY(connect_console(terminal, options.console_socket, pidfd_socket_of(plan, options)));
  warn_of_unused(plan.rootfs);
  if (begin) TRY(begin());
  log::debug("planned: {} mounts, {} devices, cgroup {}", plan.rootfs.mounts.size(), plan.rootfs.devices.size(), plan.cgroup.path);

  Rollback undo;
  auto record = first_record(plan);
  auto directory = TRY(reserve(store, options, record, config, undo));
  run_poststop_on_failure(undo, record, plan.hooks);
  auto proxy = TRY(make_notify(directory, notify, options, through));
  const auto cgroup = TRY(make_cgroup(plan, spec, record, undo));
  TRY(make_rdt(directory, spec, record, undo));
  auto start_socket = TRY(listen_for_start(directory, through));
  const SpawnInput input{.plan = plan,
                         .cgroup = *cgroup,
                         .start_socket = start_socket,
                         .console = console.child,
                         .preserve_fds = options.preserve_fds,
                         .listen_fds = options.listen_fds,
                         .close_in_child = ours_alone(directory, console, proxy)};
  auto init = TRY(clone_explained(input, undo));
  record.init = TRY(process_ref(init.pid));
  TRY(join_rdt(record.rdt, init.pid));
  TRY(directory.write(record));
  TRY(fault_point("clone"));
  Created created{.directory = std::move(directory),
                  .record = std::move(record),
                  .hooks = plan.hooks,
                  .init = std::move(init),
                  .notify = std::move(proxy),
                  .terminal = UniqueFd{}};
  TRY(enter_scope(*cgroup, created));
  auto devices = TRY(NetDevices::move(plan.net_devices, plan.namespaces, created.init.pid));
  TRY(fault_point("net-devices"));
  TRY(set_up(input, created));
  TRY(commit(created, options, through, console, undo));
  created.terminal = TRY(receive_terminal(console));
  devices.keep();
  undo.commit();
  return created;
}

}  // namespace husk::runtime
