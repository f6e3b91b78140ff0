#include "cri/container_service.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/text.h"
#include "cri/container_inputs.h"
#include "oci-spec/parse_config.h"

namespace husk::cri {
namespace {

constexpr std::int32_t kStartErrorExit = 128;            // as other runtimes of CRI report it
constexpr std::int64_t kLongestTimeoutSeconds = 1'000'000'000;
constexpr std::int64_t kSlackMs = 60'000;                // for the monitor's own work beside a time-out

std::string key_of(const std::string& pod_id, const ContainerConfig& config) {
  return format_text("container {} (attempt {}) of pod {}", quote(config.name), config.attempt, pod_id);
}

Status check_request(const ContainerConfig& config, const HostFacts& facts) {
  if (config.name.empty()) return Error{Kind::invalid, "config.metadata.name is empty"};
  if (config.image.empty()) return Error{Kind::invalid, "config.image.image is empty"};
  return check_security_modules(config.apparmor, config.selinux, facts);
}

std::string parent_directory(const std::string& path) { return path.substr(0, path.rfind('/')); }

Resources merged(Resources base, const Resources& changes) {
  const auto take = [](auto& into, const auto& from) {
    if (from != std::remove_cvref_t<decltype(from)>{}) into = from;
  };
  take(base.cpu_period, changes.cpu_period);
  take(base.cpu_quota, changes.cpu_quota);
  take(base.cpu_shares, changes.cpu_shares);
  take(base.memory_limit, changes.memory_limit);
  take(base.memory_swap_limit, changes.memory_swap_limit);
  take(base.oom_score_adj, changes.oom_score_adj);
  take(base.cpuset_cpus, changes.cpuset_cpus);
  take(base.cpuset_mems, changes.cpuset_mems);
  if (!changes.hugepage_limits.empty()) base.hugepage_limits = changes.hugepage_limits;
  for (const auto& [key, value] : changes.unified) {
    const auto old = std::ranges::find(base.unified, key, [](const auto& item) { return item.first; });
    if (old == base.unified.end()) {
      base.unified.emplace_back(key, value);
    } else {
      old->second = value;
    }
  }
  return base;
}

ContainerRecord new_record(const ContainerConfig& config, const PodRecord& pod, const images::Image& image) {
  ContainerRecord record;
  record.pod_id = pod.id;
  record.name = config.name;
  record.attempt = config.attempt;
  record.image = config.image;
  record.image_name = image.repo_tags.empty() ? config.image : image.repo_tags.front();
  record.user_specified_image = config.user_specified_image;
  record.image_ref = image.repo_digests.empty() ? image.id : image.repo_digests.front();
  record.image_id = image.id;
  record.labels = config.labels;
  record.annotations = config.annotations;
  record.resources = config.resources;
  record.tty = config.tty;
  return record;
}

Result<std::int32_t> find_target(const ContainerStore& containers, const ContainerConfig& config, const std::string& pod_id) {
  if (config.namespaces.pid != NamespaceMode::target) return 0;
  const auto target = TRY(containers.find(config.namespaces.target_id).during("namespace_options.target_id"));
  if (target->pod_id != pod_id)
    return Error{Kind::invalid, format_text("namespace_options.target_id: container {} is in another pod", target->id)};
  if (target->state != ContainerState::running)
    return Error{Kind::wrong_state, format_text("namespace_options.target_id: container {} is not running", target->id)};
  return target->pid;
}

struct Origin {
  const PodRecord& pod;
  const images::Image& image;
};

// Everything that the request names on the host or in the image. `record` gets what status calls show.
Result<ContainerInput> look_up(Node& node, const ContainerConfig& config, const Origin& origin, const RootDir& root,
                               ContainerRecord& record, Rollback& undo) {
  const auto& [pod, image] = origin;
  const auto files = TRY(read_user_files(root));
  ContainerInput input{.config = config, .pod = pod, .image = image.config, .id = record.id, .rootfs = record.rootfs};
  input.files = files_of(node.paths(pod.id), pod);
  input.user = TRY(find_user(config, image.config.user, files));
  input.mounts = TRY(resolve_mounts(node, config, record.id, record.image_volumes, undo));
  input.devices = TRY(resolve_devices(node.host, config));
  input.netns_path = pod.netns_path;
  input.target_pid = TRY(find_target(node.containers, config, pod.id));
  const auto capabilities = TRY(plan_capabilities(node.facts.capabilities, config.capabilities, config.privileged));
  if (!config.privileged) input.seccomp = TRY(resolve_seccomp(config.seccomp, capabilities, node.facts));
  record.user = input.user.ids;
  for (const auto& mount : input.mounts) record.mounts.push_back(mount.request);
  record.log_path = TRY(plan_log_path(pod, config));
  record.stop_signal = TRY(plan_stop_signal(config, image.config));
  return input;
}

Status create_in_runtime(PodMonitor& connection, const ContainerConfig& config, const std::string& bundle, bool systemd_cgroup,
                         std::int64_t timeout_ms, ContainerRecord& record) {
  const auto made = TRY(connection.call({.op = monitor::Op::create,
                                      .id = record.id,
                                      .bundle = bundle,
                                      .log_path = record.log_path,
                                      .terminal = config.tty,
                                      .stdin_open = config.stdin_open,
                                      .stdin_once = config.stdin_once,
                                      .systemd_cgroup = systemd_cgroup},
                                     timeout_ms));
  for (const auto& info : made.containers) {
    if (info.id != record.id) continue;
    record.pid = info.pid;
    if (!info.cgroup_path.empty()) record.cgroup_path = info.cgroup_path;
  }
  return ok();
}

}  // namespace

std::vector<ContainerRef> ContainerService::of_pod(const std::string& pod_id) const {
  auto all = node_.containers.list();
  std::erase_if(all, [&](const ContainerRef& record) { return record->pod_id != pod_id; });
  return all;
}

Result<std::string> ContainerService::create(const std::string& pod_id, const ContainerConfig& config) {
  TRY(check_request(config, node_.facts));
  const auto pod = TRY(node_.pods.find(pod_id));
  const auto text = fingerprint(config);
  return calls_.run(key_of(pod->id, config), text,
                    [&](Stage& stage) { return create_new(pod->id, config, text, stage); });
}

Result<std::string> ContainerService::create_new(const std::string& pod_id, const ContainerConfig& config,
                                                 const std::string& fingerprint_text, Stage& stage) {
  stage.enter("1 reserve");
  const KeyedLocks::Held held{pod_locks_, pod_id};
  const auto id = random_hex(32);
  Rollback undo;
  const auto pod = TRY(node_.pods.find(pod_id));
  if (!pod->ready) return Error{Kind::wrong_state, format_text("pod {} is not ready", pod_id)};
  const auto same_key = node_.containers.find_if([&](const ContainerRecord& record) {
    return record.pod_id == pod_id && record.name == config.name && record.attempt == config.attempt;
  });
  if (same_key != nullptr) {
    if (same_key->fingerprint == fingerprint_text && same_key->state == ContainerState::created) return same_key->id;
    return Error{Kind::exists, format_text("{} exists with id {}", key_of(pod_id, config), same_key->id)}.hint(
        "remove it first, or use another attempt number");
  }
  const auto connection = node_.connections.find(pod_id);
  if (connection == nullptr) return Error{Kind::wrong_state, format_text("pod {} has no husk-monitor", pod_id)};
  const auto image = TRY(node_.images.find(config.image));
  if (!image.has_value())
    return Error{Kind::not_found, format_text("image {} is not in the store", quote(config.image))}.hint("pull it first");
  auto record = new_record(config, *pod, *image);
  record.id = id;
  record.fingerprint = fingerprint_text;

  stage.enter("2 root file system");
  const auto rootfs = TRY(node_.images.prepare_container(id, image->id).during("prepare the root file system"));
  undo.on_failure([this, id] { (void)node_.images.release_container(id); });
  record.rootfs = rootfs.path;
  const auto root = TRY(RootDir::open(rootfs.path));
  TRY(prepare_directories(root, config, image->config));

  stage.enter("3 look up users, mounts, devices");
  const auto input = TRY(look_up(node_, config, {*pod, *image}, root, record, undo));

  stage.enter("4 bundle");
  const auto bundle = node_.paths(pod_id).bundles + "/" + id;
  const auto spec = TRY(make_container_spec(input, node_.facts));
  undo.on_failure([bundle] { (void)remove_tree(AT_FDCWD, bundle); });
  TRY(write_bundle(bundle, spec).during("write the bundle"));
  if (!record.log_path.empty()) TRY(make_directories(parent_directory(record.log_path)).during("make the log directory"));

  stage.enter("5 husk create");
  undo.on_failure([this, id, connection] { undo_creation(*connection, id); });
  record.cgroup_path = spec.linux.cgroups_path;
  TRY(create_in_runtime(*connection, config, bundle, node_.facts.systemd_cgroup, node_.timeout_ms(), record));

  stage.enter("6 record");
  record.created_at_ns = now_unix_ns();
  TRY(node_.containers.insert(record).during("write the container's record"));
  undo.commit();
  return id;
}

// A creation that took too long still goes on: without its `husk create` the monitor takes it back by itself.
void ContainerService::undo_creation(PodMonitor& connection, const std::string& id) {
  const auto removed = connection.call({.op = monitor::Op::remove, .id = id}, node_.timeout_ms());
  if (removed.has_value() || removed.error().kind() != Kind::busy) return;
  const auto ended = node_.host.kill_creation(id);
  if (!ended.has_value()) log::warning(ended.error().to_string());
}

Status ContainerService::start(const std::string& wanted) {
  const auto found = TRY(node_.containers.find(wanted));
  const KeyedLocks::Held held{locks_, found->id};
  const auto record = TRY(node_.containers.find(found->id));
  if (record->state != ContainerState::created)
    return Error{Kind::wrong_state, format_text("container {} was started before", record->id)};
  const auto connection = node_.connections.find(record->pod_id);
  if (connection == nullptr) return Error{Kind::wrong_state, format_text("pod {} is not running", record->pod_id)};
  auto started = connection->call({.op = monitor::Op::start, .id = record->id}, node_.timeout_ms());
  if (!started.has_value()) {
    // It stays, EXITED with the reason, until it is removed: that is what kubelet shows to people.
    const auto text = started.error().to_string();
    TRY(node_.containers.update(record->id, Durable::yes, [&](ContainerRecord& change) {
      if (!apply_exit(change, {.id = change.id, .exit_code = kStartErrorExit})) return false;
      change.started_at_ns = change.finished_at_ns;
      change.reason = "StartError";
      change.message = text;
      return true;
    }));
    // It may wait for a start that will not come, or run although its start was not heard of: nobody must.
    (void)connection->call({.op = monitor::Op::stop, .id = record->id, .signal = SIGKILL, .timeout_ms = 0}, node_.timeout_ms());
    return std::move(started).error();
  }
  std::int64_t started_at = now_unix_ns();
  std::int32_t pid = record->pid;
  for (const auto& info : started.value().containers) {
    if (info.id != record->id) continue;
    if (info.started_at_ns != 0) started_at = info.started_at_ns;
    if (info.pid != 0) pid = info.pid;
  }
  // Not synced: after a power cut the container is gone anyway, and its end is what counts then.
  TRY(node_.containers.update(record->id, Durable::no, [&](ContainerRecord& change) {
    change.started_at_ns = started_at;
    if (change.state != ContainerState::created) return true;  // it ended already
    change.state = ContainerState::running;
    change.pid = pid;
    return true;
  }));
  return ok();
}

Status ContainerService::wait_for_exit(const ContainerRecord& record, PodMonitor& monitor, std::int64_t timeout_seconds) {
  const auto timeout_ms = timeout_seconds * 1000;
  auto stopped = monitor.call(
      {.op = monitor::Op::stop, .id = record.id, .signal = record.stop_signal, .timeout_ms = timeout_ms}, timeout_ms + kSlackMs);
  if (!stopped.has_value() && stopped.error().kind() != Kind::not_found) return std::move(stopped).error();
  const auto info = TRY(ask_status(monitor, record.id));
  auto updated = node_.containers.update(record.id, Durable::yes, [&](ContainerRecord& change) {
    if (info.has_value() && info->exit.has_value()) return apply_exit(change, *info->exit);
    return apply_unknown_exit(change, "husk-monitor does not know how it ended");
  });
  if (!updated.has_value() && updated.error().kind() != Kind::not_found) return std::move(updated).error();
  return ok();
}

Status ContainerService::stop(const std::string& wanted, std::int64_t timeout_seconds) {
  if (timeout_seconds < 0) return Error{Kind::invalid, format_text("timeout {} is negative", timeout_seconds)};
  const auto found = node_.containers.find(wanted);
  if (!found.has_value()) return found.error().kind() == Kind::not_found ? ok() : Status{found.error()};
  const auto& record = *found.value();
  if (record.state == ContainerState::exited) return ok();
  const auto connection = node_.connections.find(record.pod_id);
  if (connection != nullptr) return wait_for_exit(record, *connection, std::min(timeout_seconds, kLongestTimeoutSeconds));
  TRY(node_.host.delete_container(record.id));
  TRY(node_.containers.update(record.id, Durable::yes, [&](ContainerRecord& change) {
    return apply_unknown_exit(change, "husk-monitor of the pod has ended");
  }));
  return ok();
}

Status ContainerService::stop_all(const PodRecord& pod) {
  const auto connection = node_.connections.find(pod.id);
  const auto containers = of_pod(pod.id);
  if (connection == nullptr) {
    for (const auto& record : containers) {
      TRY(node_.host.delete_container(record->id));
      TRY(node_.containers.update(record->id, Durable::yes, [&](ContainerRecord& change) {
        return apply_unknown_exit(change, "husk-monitor of the pod has ended");
      }));
    }
    return ok();
  }
  // All at once: the pod goes as fast as its slowest container.
  std::vector<std::pair<ContainerRef, PodMonitor::Answer>> stopping;
  for (const auto& record : containers)
    if (record->state != ContainerState::exited)
      stopping.emplace_back(record, connection->send({.op = monitor::Op::stop, .id = record->id, .signal = 9, .timeout_ms = 0}));
  for (auto& [record, answer] : stopping) {
    const auto stopped = wait_for(answer, kSlackMs, "stop");
    if (!stopped.has_value() && stopped.error().kind() != Kind::not_found) return stopped.error();
    TRY(wait_for_exit(*record, *connection, 0));
  }
  std::vector<PodMonitor::Answer> removing;
  removing.reserve(containers.size());
  for (const auto& record : containers) removing.push_back(connection->send({.op = monitor::Op::remove, .id = record->id}));
  for (auto& answer : removing) {
    const auto removed = wait_for(answer, kSlackMs, "remove");
    if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed.error();
  }
  return ok();
}

Status ContainerService::remove(const std::string& wanted) {
  const auto found = node_.containers.find(wanted);
  if (!found.has_value()) return found.error().kind() == Kind::not_found ? ok() : Status{found.error()};
  const KeyedLocks::Held held{locks_, found.value()->id};
  const auto again = node_.containers.find(found.value()->id);
  if (!again.has_value()) return ok();  // removed by a call that held the lock
  const auto& record = *again.value();
  if (record.state != ContainerState::exited) TRY(stop(record.id, 0));
  if (const auto connection = node_.connections.find(record.pod_id); connection != nullptr) {
    const auto removed = connection->call({.op = monitor::Op::remove, .id = record.id}, node_.timeout_ms());
    if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed.error();
  }
  for (const auto& key : record.image_volumes) TRY(node_.images.unmount_image(key));
  TRY(node_.images.release_container(record.id).during("remove the root file system"));
  TRY(remove_tree(AT_FDCWD, node_.paths(record.pod_id).bundles + "/" + record.id));
  return node_.containers.erase(record.id);
}

Status ContainerService::update_resources(const std::string& wanted, const Resources& changes) {
  const auto record = TRY(node_.containers.find(wanted));
  const KeyedLocks::Held held{locks_, record->id};
  if (record->state == ContainerState::exited)
    return Error{Kind::wrong_state, format_text("container {} has ended", record->id)};
  TRY(node_.host.update_cgroup(record->cgroup_path, plan_resources(changes, node_.facts)).during("update the limits"));
  TRY(node_.containers.update(record->id, Durable::yes, [&](ContainerRecord& change) {
    change.resources = merged(change.resources, changes);
    return true;
  }));
  return ok();
}

Result<ContainerRef> ContainerService::find_running(const std::string& wanted, const char* what) const {
  auto record = TRY(node_.containers.find(wanted));
  if (record->state != ContainerState::running)
    return Error{Kind::wrong_state, format_text("{}: container {} is not running", what, record->id)};
  return record;
}

Status ContainerService::reopen_log(const std::string& wanted) {
  const auto record = TRY(find_running(wanted, "reopen log"));
  const auto connection = node_.connections.find(record->pod_id);
  if (connection == nullptr) return Error{Kind::wrong_state, format_text("pod {} is not running", record->pod_id)};
  TRY(connection->call({.op = monitor::Op::reopen_log, .id = record->id}, node_.timeout_ms()));
  return ok();
}

Result<ContainerService::ExecResult> ContainerService::exec(const std::string& wanted,
                                                            const std::vector<std::string>& command,
                                                            std::int64_t timeout_seconds) {
  // A reply has at most 16 MiB for both streams; the rest is drained. Source: CVE-2022-1708.
  constexpr std::uint64_t kMaxStream = (8U << 20U) - (64U << 10U);
  if (command.empty() || command.front().empty()) return Error{Kind::invalid, "cmd is empty"};
  if (timeout_seconds < 0) return Error{Kind::invalid, format_text("timeout {} is negative", timeout_seconds)};
  const auto record = TRY(find_running(wanted, "exec"));
  const auto connection = node_.connections.find(record->pod_id);
  if (connection == nullptr) return Error{Kind::wrong_state, format_text("pod {} is not running", record->pod_id)};
  const auto path = node_.paths(record->pod_id).bundles + "/" + record->id + "/process.json";
  const auto text = TRY(read_file(path));
  auto process = TRY(oci::parse_process(text).during("read the container's process"));
  process.args = command;
  process.terminal = false;
  process.console_size.reset();
  const auto out = TRY(sys::memfd_create("husk-exec-out", MFD_CLOEXEC));
  const auto err = TRY(sys::memfd_create("husk-exec-err", MFD_CLOEXEC));
  const auto timeout_ms = std::min(timeout_seconds, kLongestTimeoutSeconds) * 1000;
  const auto reply = TRY(connection->call({.op = monitor::Op::exec,
                                           .id = record->id,
                                           .timeout_ms = timeout_ms,
                                           .process = oci::write_process(process),
                                           .max_output = kMaxStream},
                                          timeout_ms == 0 ? -1 : timeout_ms + kSlackMs, {out.get(), err.get()}));
  ExecResult result{.out = {}, .err = {}, .exit_code = reply.exit_code};
  TRY(sys::lseek(out.get(), 0, SEEK_SET));
  TRY(sys::lseek(err.get(), 0, SEEK_SET));
  result.out = TRY(read_all(out.get()));
  result.err = TRY(read_all(err.get()));
  return result;
}

}  // namespace husk::cri
