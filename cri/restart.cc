#include "cri/restart.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/pod_service.h"

namespace husk::cri {
namespace {

constexpr std::int64_t kTimeoutMs = 60'000;

void warn(std::string_view what, const Status& status) {
  if (!status.has_value()) log::warning(format_text("{}: {}", what, status.error().to_string()));
}

std::optional<monitor::ExitRecord> read_exit_record(const PodPaths& paths, const std::string& id) {
  const auto text = read_file(paths.directory + "/containers/" + id + "/exit.json", 1U << 20U);
  if (!text.has_value()) return std::nullopt;
  auto record = monitor::decode_exit_record(text.value());
  if (!record.has_value()) {
    log::warning(format_text("exit record of container {}: {}", id, record.error().to_string()));
    return std::nullopt;
  }
  return std::move(record).value();
}

std::vector<ContainerRef> containers_of(Node& node, const std::string& pod_id) {
  auto all = node.containers.list();
  std::erase_if(all, [&](const ContainerRef& record) { return record->pod_id != pod_id; });
  return all;
}

void mark_exit(Node& node, const std::string& id, const std::optional<monitor::ExitRecord>& exit, const char* otherwise) {
  const auto updated = node.containers.update(id, Durable::yes, [&](ContainerRecord& record) {
    return exit.has_value() ? apply_exit(record, *exit) : apply_unknown_exit(record, otherwise);
  });
  if (!updated.has_value() && updated.error().kind() != Kind::not_found)
    log::error(format_text("container {}: {}", id, updated.error().to_string()));
}

Status mark_not_ready(Node& node, const std::string& pod_id) {
  const auto updated = node.pods.update(pod_id, Durable::yes, [](PodRecord& record) { return std::exchange(record.ready, false); });
  if (!updated.has_value() && updated.error().kind() != Kind::not_found) return updated.error();
  return ok();
}

// The monitor of a recorded pod is gone: its containers' processes must not live on unwatched.
void give_up(Node& node, const std::string& pod_id) {
  node.connections.erase(pod_id);
  const auto paths = node.paths(pod_id);
  warn("end husk-monitor", node.host.kill_monitor(paths.directory));
  warn("mark the pod", mark_not_ready(node, pod_id));
  for (const auto& record : containers_of(node, pod_id)) {
    if (record->state != ContainerState::exited) {
      warn("end the container", node.host.delete_container(record->id));
      mark_exit(node, record->id, read_exit_record(paths, record->id), "husk-monitor of the pod ended before the container did");
    }
  }
  warn("end the pod", node.host.delete_container(pod_id));
}

void adopt_container(Node& node, const ContainerRecord& record, const monitor::Reply& hello) {
  const auto info = std::ranges::find(hello.containers, record.id, &monitor::ContainerInfo::id);
  if (info == hello.containers.end()) {
    mark_exit(node, record.id, read_exit_record(node.paths(record.pod_id), record.id), "husk-monitor does not know the container");
    return;
  }
  if (info->phase == monitor::ContainerPhase::exited) {
    mark_exit(node, record.id, info->exit, "husk-monitor does not know how it ended");
    return;
  }
  const auto updated = node.containers.update(record.id, Durable::no, [&](ContainerRecord& change) {
    if (change.state == ContainerState::exited) return false;
    change.pid = info->pid;
    if (info->phase == monitor::ContainerPhase::running) {
      change.state = ContainerState::running;
      change.started_at_ns = info->started_at_ns;
    }
    return true;
  });
  if (!updated.has_value()) log::warning(updated.error().to_string());
}

// All containers that the monitor knows. A list that is too long for one answer is asked for one by one.
Result<monitor::Reply> ask_containers(Node& node, const std::string& pod_id, PodMonitor& monitor) {
  auto hello = monitor.call({.op = monitor::Op::hello}, kTimeoutMs);
  if (hello.has_value() || hello.error().kind() != Kind::exhausted) return hello;
  monitor::Reply all;
  std::vector<std::string> ids{pod_id};
  for (const auto& record : containers_of(node, pod_id)) ids.push_back(record->id);
  for (const auto& id : ids) {
    auto info = TRY(ask_status(monitor, id));
    if (info.has_value()) all.containers.push_back(std::move(*info));
  }
  return all;
}

void adopt_pod(Node& node, const PodRecord& pod) {
  auto monitor = node.monitors.connect(pod.id, node.paths(pod.id).directory);
  if (!monitor.has_value()) return give_up(node, pod.id);
  const auto hello = ask_containers(node, pod.id, *monitor.value());
  if (!hello.has_value()) {
    log::warning(format_text("pod {}: {}", pod.id, hello.error().to_string()));
    return give_up(node, pod.id);
  }
  node.connections.put(pod.id, monitor.value());
  const auto pause = std::ranges::find(hello.value().containers, pod.id, &monitor::ContainerInfo::id);
  if (pause == hello.value().containers.end() || pause->phase != monitor::ContainerPhase::running)
    warn("mark the pod", mark_not_ready(node, pod.id));
  std::set<std::string> known{pod.id};
  for (const auto& record : containers_of(node, pod.id)) {
    known.insert(record->id);
    if (record->state != ContainerState::exited) adopt_container(node, *record, hello.value());
  }
  // Created, but huskd died before it could tell anybody.
  for (const auto& info : hello.value().containers) {
    if (known.contains(info.id)) continue;
    const auto removed = monitor.value()->call({.op = monitor::Op::remove, .id = info.id}, kTimeoutMs);
    if (!removed.has_value() && removed.error().kind() == Kind::busy) {
      // Still in the making: without its `husk create` the monitor takes it back by itself.
      warn("stop the creation of a container", node.host.kill_creation(info.id));
    } else if (!removed.has_value()) {
      log::warning(removed.error().to_string());
    }
    warn("remove a bundle", remove_tree(AT_FDCWD, node.paths(pod.id).bundles + "/" + info.id));
  }
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const auto fd = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.has_value()) return names;
  const auto entries = sys::list_dir(fd.value().get());
  if (!entries.has_value()) return names;
  for (const auto& entry : entries.value()) names.push_back(entry.name);
  return names;
}

// A pod directory that no record names: RunPodSandbox did not get to its end.
void remove_unknown_pod(Node& node, const std::string& id) {
  const auto paths = node.paths(id);
  // Not asked but killed: it may not listen yet, or be busy with a creation that nobody waits for.
  warn("end husk-monitor", node.host.kill_monitor(paths.directory));
  warn("end the pod", node.host.delete_container(id));
  const auto cgroup = read_file(paths.cgroup_note, 4096);
  warn("release the pod", release_pod_resources(node, id, cgroup.has_value() ? cgroup.value() : std::string{}));
}

// Volumes of images are named "<id of the container>-<number>" (container_inputs.cc); other views belong to
// people who mounted them.
std::optional<std::string> owner_of_volume(const std::string& key) {
  constexpr std::size_t kIdDigits = 64;
  if (key.size() < kIdDigits + 2 || key[kIdDigits] != '-') return std::nullopt;
  const auto id = key.substr(0, kIdDigits);
  if (id.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  if (!parse_uint32(key.substr(kIdDigits + 1)).has_value()) return std::nullopt;
  return id;
}

void remove_unknown(Node& node) {
  std::set<std::string> pods;
  std::set<std::string> held;  // pods that still hold something
  for (const auto& pod : node.pods.list()) {
    pods.insert(pod->id);
    if (!pod->released) held.insert(pod->id);
  }
  std::set<std::string> containers;
  for (const auto& record : node.containers.list()) containers.insert(record->id);

  for (const auto& id : names_in(node.config.state + "/pods"))
    if (!held.contains(id)) remove_unknown_pod(node, id);
  for (const auto& id : node.host.runtime_containers())
    if (!containers.contains(id) && !held.contains(id)) warn("remove an unknown container", node.host.delete_container(id));
  for (const auto& id : names_in(node.config.state + "/netns"))
    if (!held.contains(id)) warn("remove a network namespace", node.host.remove_netns(node.config.state + "/netns/" + id));
  const auto views = node.images.view_keys();
  if (!views.has_value()) return log::warning(views.error().to_string());
  for (const auto& key : views.value())
    if (const auto owner = owner_of_volume(key); owner.has_value() && !containers.contains(*owner))
      warn("remove an image volume", node.images.unmount_image(key));
  const auto keys = node.images.container_keys();
  if (!keys.has_value()) return log::warning(keys.error().to_string());
  for (const auto& key : keys.value())
    if (!containers.contains(key)) warn("remove a root file system", node.images.release_container(key));
}

}  // namespace

void ExitWatch::container_exited(const std::string& pod_id, const monitor::ExitRecord& record) {
  if (record.id == pod_id) {
    warn("mark the pod", mark_not_ready(node_, pod_id));
    return;
  }
  mark_exit(node_, record.id, record, "");
}

void ExitWatch::monitor_lost(const std::string& pod_id) {
  if (node_.connections.find(pod_id) == nullptr) return;
  node_.connections.erase(pod_id);
  const auto pod = node_.pods.find(pod_id);
  if (!pod.has_value() || pod.value()->released) return;
  // Either it ended, or it dropped a connection that was not read fast enough: then a new one works.
  adopt_pod(node_, *pod.value());
  if (node_.connections.find(pod_id) == nullptr)
    log::error(format_text("husk-monitor of pod {} ended; the pod's containers are ended too", pod_id));
}

Status reconcile(Node& node) {
  for (const auto& pod : node.pods.list())
    if (!pod->released) adopt_pod(node, *pod);
  // Containers of pods that are gone or hold nothing any more cannot run.
  std::vector<std::string> living;
  for (const auto& pod : node.pods.list())
    if (!pod->released) living.push_back(pod->id);
  for (const auto& record : node.containers.list()) {
    if (record->state == ContainerState::exited) continue;
    if (std::ranges::find(living, record->pod_id) != living.end()) continue;
    mark_exit(node, record->id, std::nullopt, "the pod is gone");
  }
  remove_unknown(node);
  return node.network.collect_garbage(living).during("remove networks of pods that are gone");
}

}  // namespace husk::cri
