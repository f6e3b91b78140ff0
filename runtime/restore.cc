// Restore: the cgroup and all sources of mounts are ours, CRIU puts processes and mounts together. It runs in the new
// cgroup and in a mount namespace that goes with it, where the sources are, with their attributes, before CRIU begins.
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "checkpoint.h"
#include "criu_call.h"
#include "fault.h"
#include "foreground.h"
#include "handshake.h"
#include "hooks.h"
#include "image_directory.h"
#include "init/join.h"
#include "labels.h"
#include "oci-spec/names.h"
#include "oci-spec/parse_config.h"
#include "outside.h"
#include "resctrl.h"
#include "restore_stage.h"

namespace husk::runtime {
namespace {

constexpr const char* kLogFile = "restore.log";
constexpr const char* kNoImage = "it must be an image that husk checkpoint has written to its end";

// What a restore works on.
struct Restore {
  const RestoreOptions& options;
  ContainerPlan plan;
  oci::Spec spec;
  Outside outside;
  rootfs::HostHandles handles;
  UniqueFd images;
  UniqueFd work;
  UniqueFd console;   // where the master of the terminal goes
  UniqueFd terminal;  // or stays, for the foreground
};

Result<Outside> read_outside(const UniqueFd& images, const ContainerPlan& plan) {
  const auto text = read_file_at(images.get(), kOutsideFile, 1U << 20U);
  if (!text.has_value())
    return Error{text.error()}.during("--image-path").hint(kNoImage);
  auto outside = TRY(parse_outside(text.value()).during(kOutsideFile));
  TRY(check_pages(images, outside).during("--image-path"));
  const auto fits = [](const std::vector<std::size_t>& indices, std::size_t size) {
    return std::ranges::all_of(indices, [&](auto index) { return index < size; });
  };
  if (find_sources(outside, plan.rootfs) && fits(outside.masks, plan.rootfs.masked_paths.size()) && fits(outside.devices, plan.rootfs.devices.size()) &&
      fits(outside.masked_directories, plan.rootfs.masked_paths.size()))
    return outside;
  return Error{Kind::invalid, format_text("{}: the image was made with another config.json", kOutsideFile)}.hint(
      "it needs the same destinations of bind mounts, and the same devices and maskedPaths");
}

// A stopped container of this id makes room: checkpoint leaves one. It is there again when the restore fails, without
// what it had of the host; its poststop hooks have run.
Status make_room(const StateStore& store, const ContainerId& id, Rollback& undo) {
  const auto there = store.open(id);
  if (!there.has_value()) return there.error().kind() == Kind::not_found ? ok() : Status{there.error()};
  const auto opened = open_locked(store, id);
  if (!opened.has_value() || opened.value().phase != Phase::stopped) return ok();  // reserve() says so
  auto record = opened.value().record;
  const auto config = TRY(opened.value().directory.read_config());
  TRY(remove_locked(opened.value().directory).during("remove the stopped container"));
  record.has_late_hooks = false;
  undo.on_failure([store, id, record, config] {
    const auto again = store.reserve(id);
    if (again.has_value() && again.value().write_config(config).has_value()) (void)again.value().write(record);
  });
  return ok();
}

// Namespaces that config.json gives by path. CRIU gets network and pid as descriptors, the rest by the path.
Status add_namespaces(const Restore& restore, std::vector<UniqueFd>& kept, criu::Request& request) {
  using oci::NamespaceType;
  for (const auto& item : restore.spec.linux.namespaces) {
    if (item.path.empty()) continue;
    const auto name = std::string{oci::namespace_name(item.type)};
    switch (item.type) {
      case NamespaceType::network:
      case NamespaceType::pid:
        kept.push_back(TRY(sys::openat(AT_FDCWD, item.path, O_RDONLY).during(format_text("open the {} namespace", name))));
        request.inherited.push_back({.key = item.type == NamespaceType::pid ? kPidKey : kNetKey, .fd = kept.back().get()});
        break;
      case NamespaceType::ipc:
      case NamespaceType::uts:
      case NamespaceType::user: request.joined.emplace_back(name, item.path); break;
      default: return Error{Kind::unsupported, format_text("CRIU cannot restore into a {} namespace given by path", name)};
    }
  }
  return ok();
}

criu::Request make_request(const Restore& restore) {
  const auto& common = restore.options.common;
  auto request = common.criu;
  request.action = "restore";
  request.log_file = kLogFile;
  request.log_path = format_text("{}/{}", common.work_path.empty() ? common.image_path : common.work_path, kLogFile);
  request.saved_label = restore.outside.label;
  request.needs_label = asks_for_label(restore.spec);
  request.config_file = criu_config_file(restore.plan.annotations);
  request.in_own_cgroup = restore.plan.cgroup.driver != cgroups::Driver::disabled;
  if (!request.in_own_cgroup) request.cgroup_mode = "ignore";
  return request;
}

// As copies: CRIU closes what it is given, and looks for the terminal of --shell-job at its own standard input.
Status add_streams(const Restore& restore, std::vector<UniqueFd>& kept, criu::Request& request) {
  for (int fd = 0; fd < 3; ++fd) {
    const auto& name = restore.outside.stdio.at(static_cast<std::size_t>(fd));
    if (name.empty()) continue;
    kept.push_back(TRY(sys::dup_cloexec(fd)));
    request.inherited.push_back({.key = name, .fd = kept.back().get()});
  }
  return ok();
}

Status take_terminal_master(Restore& restore, UniqueFd master) {
  if (!master.is_open()) return Error{Kind::internal, "CRIU sent no terminal"};
  if (restore.console.is_open())
    return sys::send_message(restore.console.get(), "/dev/ptmx", {master.get()}).during("send the terminal to the console socket");
  restore.terminal = std::move(master);
  return ok();
}

// CRIU lets the processes go on whatever it is answered now: they end here. So do husk-criu and CRIU itself.
Error stop(const Created& created, cgroups::Cgroup& cgroup, const criu::Event& event) {
  (void)sys::kill(created.record.init.pid, SIGKILL);  // CRIU holds it: the number is its own
  (void)cgroup.kill_all(SIGKILL);
  return Error{Kind::internal, event.text}.hint(event.hint);
}

Status on_moment(Restore& restore, Created& created, cgroups::Cgroup& cgroup, const criu::Event& event, UniqueFd fd) {
  if (event.script == "orphan-pts-master") return take_terminal_master(restore, std::move(fd));
  if (event.script == "setup-namespaces") {
    // From here on there is a process: delete --force must find it.
    created.record.init = TRY(process_ref(event.pid));
    TRY(created.directory.write(created.record));
    TRY(join_rdt(created.record.rdt, event.pid));  // its children, which CRIU makes later, are born there
    TRY(fault_point("restore-namespaces"));
    const auto state = make_state(created.record, Phase::creating);
    TRY(run_hooks(restore.plan.hooks.prestart, "prestart", state));
    return run_hooks(restore.plan.hooks.create_runtime, "createRuntime", state);
  }
  if (!event.text.empty()) return stop(created, cgroup, event);
  if (event.script != "post-restore") return ok();
  TRY(fault_point("restore-check"));
  TRY(label_restored_mounts(restore.plan.rootfs, created.record.init.pid));
  return check_outside(restore.plan.rootfs, restore.outside, restore.handles, created.record.init.pid);
}

// In the child that becomes husk-criu: everything is put where CRIU finds it. CRIU mounts things below its directories,
// which it may only in its own mount namespace: what was opened outside of it is opened again.
Status stage(const Restore& restore, const std::string& directory, const std::vector<Source>& sources, criu::Request& request,
             std::vector<UniqueFd>& kept) {
  const auto& common = restore.options.common;
  const bool has_users = restore.spec.find_namespace(oci::NamespaceType::user) != nullptr;
  TRY(enter_private_mounts());
  auto images = TRY(open_image_directory(common.image_path, false).during("--image-path"));
  request.images_fd = request.work_fd = images.get();
  if (!common.work_path.empty()) {
    kept.push_back(TRY(open_image_directory(common.work_path, false).during("--work-path")));
    request.work_fd = kept.back().get();
  }
  auto placed = TRY(stage_mounts(directory, has_users, restore.handles.root, sources));
  auto shown = has_users ? show_to_all(images, placed) : UniqueFd{};
  request.root = std::move(placed.root);
  request.mounts = std::move(placed.sources);
  if (shown.is_open()) request.images_fd = shown.get();
  kept.push_back(std::move(images));
  kept.push_back(std::move(shown));
  return ok();
}

// A scope is made round a process: husk-criu. Its children are born there, and it is over before the container runs.
Status enter_scope(cgroups::Cgroup& cgroup, const cgroups::Plan& plan, Created& created, pid_t process) {
  TRY(adopt_into_scope(cgroup, created, process));
  TRY(fault_point("restore-scope"));
  return cgroup.restrict_devices(plan);
}

Result<pid_t> run_criu(Restore& restore, Created& created, cgroups::Cgroup& cgroup, const std::string& directory) {
  std::vector<UniqueFd> kept;
  auto entries = TRY(cgroup.open_entries({}).during("enter cgroup"));
  CriuCall call{.request = make_request(restore), .cgroup_fd = cgroup.clone_fd()};
  if (!created.record.scope.empty())
    call.adopt = [&](pid_t child) { return enter_scope(cgroup, restore.plan.cgroup, created, child); };
  TRY(add_streams(restore, kept, call.request));
  TRY(add_namespaces(restore, kept, call.request));
  auto sources = TRY(open_sources(restore.plan.rootfs, restore.outside, restore.handles));
  call.prepare = [&](criu::Request& request) -> Status {
    TRY(enter_cgroups(entries).during("enter cgroup"));
    TRY(add_hierarchies(restore.plan.rootfs, restore.outside, sources));
    return stage(restore, directory, sources, request, kept).during("put the mounts in place");
  };
  call.notify = [&](const criu::Event& event, UniqueFd fd) { return on_moment(restore, created, cgroup, event, std::move(fd)); };
  return call_criu(call);
}

Result<Restore> read_all_about(const RestoreOptions& options, std::string& config) {
  config = TRY(read_config_file(options.create));
  auto spec = TRY(oci::parse_config(config).during("config.json"));
  if (!options.common.criu.lsm_mount_context.empty() && !spec.linux.mount_label.empty())
    spec.linux.mount_label = options.common.criu.lsm_mount_context;  // of the masks, which are made by us
  spec.linux.seccomp.reset();  // the filters are in the image
  auto plan = TRY(make_container_plan(spec, options.create));
  Restore restore{.options = options, .plan = std::move(plan), .spec = std::move(spec)};
  restore.images = TRY(open_image_directory(options.common.image_path, false).during("--image-path").hint(kNoImage));
  TRY(check_images(restore.images).during("--image-path"));
  if (!options.common.work_path.empty())
    restore.work = TRY(open_image_directory(options.common.work_path, true).during("--work-path"));
  restore.outside = TRY(read_outside(restore.images, restore.plan));
  if (!options.create.console_socket.empty())
    restore.console = TRY(sys::connect_unix(options.create.console_socket, SOCK_STREAM).during("connect to the console socket"));
  return restore;
}

void undo_processes(Rollback& undo, const Created& created) {
  undo.on_failure([&created] {
    const auto init = open_alive(created.record.init);
    if (!init.has_value() || !init.value().has_value()) return;
    (void)sys::pidfd_send_signal(init.value()->get(), SIGKILL);
    (void)wait_until_over(*init.value(), 10'000);
  });
}

Status finish(const Restore& restore, Created& created, pid_t pid, Rollback& undo) {
  created.record.init = TRY(process_ref(pid));
  created.init.pid = pid;
  created.init.pidfd = TRY(sys::pidfd_open(pid));
  created.record.stage = Stage::running;
  TRY(created.directory.write(created.record));
  TRY(fault_point("restore-commit"));
  const auto& pid_file = restore.options.create.pid_file;
  if (pid_file.empty()) return ok();
  undo.on_failure([pid_file] { (void)sys::unlinkat(AT_FDCWD, pid_file); });
  return write_pid_file(pid_file, pid);
}

}  // namespace

Result<Created> restore_container(const StateStore& store, const RestoreOptions& options) {
  TRY(require_root_for_criu());
  std::string config;
  auto restore = TRY(read_all_about(options, config));
  TRY(remove_logs(restore.work.is_open() ? restore.work : restore.images, "restore"));
  Rollback undo_room;  // after all the rest
  TRY(make_room(store, options.create.id, undo_room));
  // Before its undoing: what that looks at must outlive it.
  Created created{.directory = TRY(store.reserve(options.create.id)),
                  .record = first_record(restore.plan),
                  .hooks = restore.plan.hooks,
                  .init = {.pid = 0, .pidfd = UniqueFd{}, .channel = Channel{UniqueFd{}}},
                  .terminal = UniqueFd{}};
  Rollback undo;
  undo.on_failure([path = created.directory.path()] { (void)remove_tree(AT_FDCWD, path); });
  TRY(created.directory.write_config(config));
  TRY(created.directory.write(created.record));
  TRY(fault_point("restore-reserve"));
  if (!restore.plan.hooks.poststop.empty())
    undo.on_failure([&] { run_all_hooks(restore.plan.hooks.poststop, "poststop", make_state(created.record, Phase::stopped)); });
  const std::shared_ptr<cgroups::Cgroup> cgroup = TRY(cgroups::create(restore.plan.cgroup));
  undo.on_failure([cgroup] { (void)cgroup->remove(); });
  created.record.cgroup_claimed = true;
  TRY(created.directory.write(created.record));
  TRY(make_rdt(created.directory, restore.spec, created.record, undo));
  undo_processes(undo, created);
  TRY(make_mount_points(restore.plan.rootfs).during("make mount points"));
  restore.handles = TRY(rootfs::prepare(restore.plan.rootfs).during("prepare rootfs"));
  const auto directory = created.directory.path() + "/" + kStageDirectory;
  TRY(sys::mkdirat(created.directory.fd(), kStageDirectory, 0700));
  const auto pid = TRY(run_criu(restore, created, *cgroup, directory));
  TRY(sys::unlinkat(created.directory.fd(), kStageDirectory, AT_REMOVEDIR));
  TRY(finish(restore, created, pid, undo));
  created.terminal = std::move(restore.terminal);
  undo.commit();
  undo_room.commit();
  return created;
}

}  // namespace husk::runtime
