#include "cri/pod_service.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cri/container_inputs.h"

namespace husk::cri {
namespace {

std::string key_of(const PodMetadata& metadata) {
  return format_text("pod {} in namespace {} (uid {}, attempt {})", quote(metadata.name), quote(metadata.namespace_name),
                     quote(metadata.uid), metadata.attempt);
}

Status check_request(const PodConfig& config, const HostFacts& facts) {
  if (config.metadata.name.empty()) return Error{Kind::invalid, "config.metadata.name is empty"};
  if (config.metadata.namespace_name.empty()) return Error{Kind::invalid, "config.metadata.namespace is empty"};
  if (config.metadata.uid.empty()) return Error{Kind::invalid, "config.metadata.uid is empty"};
  if (!config.log_directory.empty() && !config.log_directory.starts_with('/'))
    return Error{Kind::invalid, format_text("config.log_directory {} is not absolute", quote(config.log_directory))};
  if (!config.runtime_handler.empty() && config.runtime_handler != "husk")
    return Error{Kind::invalid, format_text("runtime_handler {} is unknown", quote(config.runtime_handler))}.hint(
        "handlers are \"\" and \"husk\"");
  if (!config.cgroup_parent.empty()) TRY(check_parent_form(config.cgroup_parent, facts));
  return check_security_modules(config.apparmor, config.selinux, facts);
}

// kubelet always names a parent. Without one: of our own, to be removed with the pod; systemd's slices are not ours.
void choose_cgroup_parent(PodRecord& record, const PodConfig& config, const Node& node) {
  record.cgroup_parent = config.cgroup_parent;
  if (node.facts.systemd_cgroup) {
    if (record.cgroup_parent.empty()) record.cgroup_parent = "/system.slice";
    return;
  }
  if (record.cgroup_parent.empty()) record.cgroup_parent = node.config.runtime.cgroup_parent + "/pod-" + record.id;
  record.owns_cgroup_parent = !node.host.has_cgroup(record.cgroup_parent);
}

PodRecord new_record(const PodConfig& config, const std::string& id, const std::string& fingerprint_text) {
  PodRecord record;
  record.id = id;
  record.metadata = config.metadata;
  record.fingerprint = fingerprint_text;
  record.runtime_handler = config.runtime_handler;
  record.log_directory = config.log_directory;
  record.privileged = config.privileged;
  record.labels = config.labels;
  record.annotations = config.annotations;
  record.namespaces = config.namespaces;
  // kubelet leaves it empty for the host's network, other clients now and then.
  record.hostname = config.hostname.empty() || config.namespaces.network == NamespaceMode::node ? read_host_name() : config.hostname;
  return record;
}

}  // namespace

Status end_monitor(PodMonitor& monitor, std::int64_t timeout_ms) {
  monitor.expect_end();
  const auto ended = monitor.call({.op = monitor::Op::shutdown, .force = true}, timeout_ms);
  // It may be gone before its answer is read.
  if (!ended.has_value() && ended.error().kind() != Kind::unavailable) return ended.error();
  return ok();
}

Status release_pod_resources(Node& node, const std::string& pod_id, const std::string& owned_cgroup) {
  const auto paths = node.paths(pod_id);
  TRY(node.network.tear_down(pod_id).during("disconnect the pod"));
  TRY(node.host.remove_netns(paths.netns).during("remove the network namespace"));
  TRY(node.host.unmount(paths.shm).during("unmount shared memory"));
  if (!owned_cgroup.empty()) TRY(node.host.remove_cgroup(owned_cgroup).during("remove the pod's cgroup"));
  return remove_tree(AT_FDCWD, paths.directory).during("remove the pod's directory");
}

Result<std::string> PodService::run(const PodConfig& config) {
  TRY(check_request(config, node_.facts));
  const auto text = fingerprint(config);
  return calls_.run(key_of(config.metadata), text, [&](Stage& stage) { return run_new(config, text, stage); });
}

Result<std::string> PodService::run_new(const PodConfig& config, const std::string& fingerprint_text, Stage& stage) {
  stage.enter("1 reserve");
  const auto same = node_.pods.find_if([&](const PodRecord& record) { return record.metadata == config.metadata; });
  if (same != nullptr) {
    if (same->ready && same->fingerprint == fingerprint_text) return same->id;
    return Error{Kind::exists, format_text("{} exists with id {}", key_of(config.metadata), same->id)}.hint(
        "remove it first, or use another attempt number");
  }
  const auto sysctls = TRY(plan_sysctls(config, node_.config.runtime.unprivileged_ports, node_.config.runtime.unprivileged_ping));
  const auto id = random_hex(32);
  const auto paths = node_.paths(id);
  auto record = new_record(config, id, fingerprint_text);
  choose_cgroup_parent(record, config, node_);
  const auto owned = record.owns_cgroup_parent ? record.cgroup_parent : std::string{};
  Rollback undo;

  stage.enter("2 start husk-monitor");
  undo.on_failure([directory = paths.directory] { (void)remove_tree(AT_FDCWD, directory); });
  TRY(make_directories(paths.directory, 0711));
  TRY(write_atomically(AT_FDCWD, paths.cgroup_note, owned));
  const auto starting = TRY(node_.monitors.start(id, paths.directory));

  TRY(make_network(config, record, sysctls, undo, stage));

  stage.enter("5 files and shared memory");
  TRY(write_pod_files(paths, config, record.hostname, record.addresses).during("write the pod's files"));
  if (config.namespaces.ipc != NamespaceMode::node) {
    undo.on_failure([this, shm = paths.shm] { (void)node_.host.unmount(shm); });
    TRY(node_.host.mount_shm(paths.shm, node_.config.runtime.shm_bytes).during("mount shared memory"));
  }

  stage.enter("6 connect to husk-monitor");
  const auto monitor = TRY(starting->finish());
  undo.on_failure([this, monitor, id, owned] {
    (void)monitor->call({.op = monitor::Op::remove, .id = id}, node_.timeout_ms());
    (void)end_monitor(*monitor, node_.timeout_ms());
    if (!owned.empty()) (void)node_.host.remove_cgroup(owned);
  });

  stage.enter("7 start pause");
  TRY(start_pause(config, record, *monitor).during("start pause"));

  stage.enter("8 record");
  record.created_at_ns = now_unix_ns();
  record.ready = true;
  node_.connections.put(id, monitor);
  undo.on_failure([this, id] { node_.connections.erase(id); });
  TRY(node_.pods.insert(record).during("write the pod's record"));
  undo.on_failure([this, id] { (void)node_.pods.erase(id); });
  // An end of pause before the record was there reached nobody: ask once.
  const auto info = TRY(ask_status(*monitor, id));
  if (!info.has_value() || info->phase != monitor::ContainerPhase::running)
    return Error{Kind::internal, format_text("pause of pod {} ended at once", id)};
  undo.commit();
  return id;
}

Status PodService::make_network(const PodConfig& config, PodRecord& record, const PodSysctls& sysctls, Rollback& undo,
                                Stage& stage) {
  if (config.namespaces.network == NamespaceMode::node) return ok();
  stage.enter("3 create network namespace");
  const auto path = node_.paths(record.id).netns;
  TRY(node_.host.create_netns(path, sysctls.network).during("create network namespace"));
  undo.on_failure([this, path] { (void)node_.host.remove_netns(path); });
  record.netns_path = path;

  stage.enter("4 connect the pod");
  undo.on_failure([this, id = record.id] { (void)node_.network.tear_down(id); });
  netns::PodRequest request{.pod_id = record.id,
                            .name = config.metadata.namespace_name + "/" + config.metadata.name,
                            .uid = config.metadata.uid,
                            .netns_path = path,
                            .ports = {}};
  for (const auto& port : config.ports)
    if (port.host_port != 0)
      request.ports.push_back({.protocol = port.protocol, .container_port = port.container_port, .host_port = port.host_port, .host_ip = port.host_ip});
  auto attachment = TRY(node_.network.set_up(request).during("connect the pod"));
  record.addresses = std::move(attachment.addresses);
  return ok();
}

Status PodService::start_pause(const PodConfig& config, PodRecord& record, PodMonitor& monitor) {
  SandboxInput input{.config = config,
                     .id = record.id,
                     .hostname = record.hostname,
                     .rootfs = node_.pause_rootfs,
                     .netns_path = record.netns_path,
                     .cgroup_parent = record.cgroup_parent,
                     .seccomp = {}};
  if (!config.privileged) input.seccomp = TRY(resolve_seccomp(config.seccomp, oci::Capabilities{}, node_.facts));
  const auto spec = TRY(make_sandbox_spec(input, node_.facts));
  const auto bundle = node_.paths(record.id).bundles + "/" + record.id;
  TRY(write_bundle(bundle, spec).during("write the bundle"));
  TRY(monitor.call({.op = monitor::Op::create, .id = record.id, .bundle = bundle, .systemd_cgroup = node_.facts.systemd_cgroup, .oom_watch = false}, node_.timeout_ms()));
  const auto started = TRY(monitor.call({.op = monitor::Op::start, .id = record.id}, node_.timeout_ms()));
  record.pause_cgroup = spec.linux.cgroups_path;
  for (const auto& info : started.containers) {
    if (info.id != record.id) continue;
    record.pause_pid = info.pid;
    if (!info.cgroup_path.empty()) record.pause_cgroup = info.cgroup_path;
  }
  if (record.pause_pid <= 0) return Error{Kind::internal, "husk-monitor told no process id"};
  return ok();
}

Status PodService::release(const PodRecord& pod) {
  TRY(containers_.stop_all(pod).during("stop the containers"));
  if (const auto monitor = node_.connections.find(pod.id); monitor != nullptr) {
    const auto removed = monitor->call({.op = monitor::Op::remove, .id = pod.id}, node_.timeout_ms());
    if (!removed.has_value() && removed.error().kind() != Kind::not_found) return removed.error();
    TRY(end_monitor(*monitor, node_.timeout_ms()));
    node_.connections.erase(pod.id);
  } else {
    TRY(node_.host.delete_container(pod.id));
  }
  return release_pod_resources(node_, pod.id, pod.owns_cgroup_parent ? pod.cgroup_parent : "");
}

Status PodService::stop(const std::string& wanted) {
  const auto found = node_.pods.find(wanted);
  if (!found.has_value()) return found.error().kind() == Kind::not_found ? ok() : Status{found.error()};
  const auto id = found.value()->id;
  const KeyedLocks::Held held{containers_.pod_locks(), id};
  const auto again = node_.pods.find(id);
  if (!again.has_value() || again.value()->released) return ok();
  TRY(node_.pods.update(id, Durable::no, [](PodRecord& record) { return std::exchange(record.ready, false); }));
  TRY(release(*again.value()).during(format_text("stop pod {}", id)));
  TRY(node_.pods.update(id, Durable::yes, [](PodRecord& record) {
    record.released = true;
    record.pause_pid = 0;
    return true;
  }));
  return ok();
}

Status PodService::remove(const std::string& wanted) {
  const auto found = node_.pods.find(wanted);
  if (!found.has_value()) return found.error().kind() == Kind::not_found ? ok() : Status{found.error()};
  const auto id = found.value()->id;
  TRY(stop(id));
  for (const auto& record : containers_.of_pod(id)) TRY(containers_.remove(record->id));
  return node_.pods.erase(id);
}

}  // namespace husk::cri
