#include "cri/client/inventory.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/text.h"
#include "cri/client/text/lookup.h"

namespace husk::pod {
namespace {

std::vector<Candidate> candidates_of(const std::vector<cri::PodSandbox>& pods) {
  std::vector<Candidate> list;
  for (const auto& pod : pods)
    list.push_back({.id = pod.id(), .name = pod.metadata().name(), .running = pod.state() == cri::SANDBOX_READY});
  return list;
}

std::vector<Candidate> candidates_of(const std::vector<cri::Container>& containers) {
  std::vector<Candidate> list;
  for (const auto& each : containers)
    list.push_back({.id = each.id(), .name = each.metadata().name(), .running = each.state() == cri::CONTAINER_RUNNING});
  return list;
}

Result<const cri::Container*> only_container(const Inventory& inventory, const cri::PodSandbox& pod) {
  std::vector<const cri::Container*> all;
  std::vector<const cri::Container*> running;
  for (const auto& each : inventory.containers) {
    if (each.pod_sandbox_id() != pod.id()) continue;
    all.push_back(&each);
    if (each.state() == cri::CONTAINER_RUNNING) running.push_back(&each);
  }
  const auto& chosen = running.empty() ? all : running;
  if (chosen.size() == 1) return chosen.front();
  if (chosen.empty()) return Error{Kind::not_found, format_text("pod {} has no container", quote(pod.metadata().name()))};
  std::vector<std::string> names;
  for (const auto* each : chosen) names.push_back(each->metadata().name());
  return Error{Kind::invalid, format_text("pod {} has several containers: {}", quote(pod.metadata().name()), join(names, ", "))}
      .hint("name the container");
}

}  // namespace

const cri::PodSandbox* Inventory::pod_of(const cri::Container& container) const {
  const auto found = std::find_if(pods.begin(), pods.end(), [&](const auto& pod) { return pod.id() == container.pod_sandbox_id(); });
  return found == pods.end() ? nullptr : &*found;
}

Result<Inventory> read_inventory(Daemon& daemon) {
  Inventory inventory;
  auto pods = TRY(daemon.call(&cri::RuntimeService::Stub::ListPodSandbox, cri::ListPodSandboxRequest{}, "list pods"));
  for (auto& pod : *pods.mutable_items()) inventory.pods.push_back(std::move(pod));
  auto containers = TRY(daemon.call(&cri::RuntimeService::Stub::ListContainers, cri::ListContainersRequest{}, "list containers"));
  for (auto& each : *containers.mutable_containers()) inventory.containers.push_back(std::move(each));
  const auto newest_first = [](const auto& one, const auto& other) { return one.created_at() > other.created_at(); };
  std::sort(inventory.pods.begin(), inventory.pods.end(), newest_first);
  std::sort(inventory.containers.begin(), inventory.containers.end(), newest_first);
  return inventory;
}

Result<const cri::PodSandbox*> find_pod(const Inventory& inventory, std::string_view word) {
  const auto index = TRY(find_candidate(candidates_of(inventory.pods), word, "pod"));
  return &inventory.pods.at(index);
}

Result<const cri::Container*> find_container(const Inventory& inventory, std::string_view word) {
  auto index = find_candidate(candidates_of(inventory.containers), word, "container");
  if (index.has_value()) return &inventory.containers.at(index.value());
  if (index.error().kind() != Kind::not_found) return std::move(index).error();
  const auto pod = find_pod(inventory, word);
  if (pod.has_value()) return only_container(inventory, *pod.value());
  if (pod.error().kind() != Kind::not_found) return pod.error();
  return Error{Kind::not_found, format_text("no container or pod {}", quote(word))}.hint("see husk-pod ps -a");
}

Result<Target> find_target(const Inventory& inventory, std::string_view word) {
  const auto pod = find_pod(inventory, word);
  if (pod.has_value()) return Target{.pod = pod.value()};
  if (pod.error().kind() != Kind::not_found) return pod.error();
  const auto index = find_candidate(candidates_of(inventory.containers), word, "container");
  if (index.has_value()) return Target{.container = &inventory.containers.at(index.value())};
  if (index.error().kind() != Kind::not_found) return index.error();
  return Error{Kind::not_found, format_text("no pod or container {}", quote(word))}.hint("see husk-pod ps -a");
}

std::string_view state_name(cri::ContainerState state) {
  switch (state) {
    case cri::CONTAINER_CREATED: return "created";
    case cri::CONTAINER_RUNNING: return "running";
    case cri::CONTAINER_EXITED: return "exited";
    default: return "unknown";
  }
}

std::string_view state_name(cri::PodSandboxState state) { return state == cri::SANDBOX_READY ? "ready" : "not ready"; }

}  // namespace husk::pod
