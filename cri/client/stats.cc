#include <map>
#include <set>
#include <vector>

#include "cri/client/commands.h"
#include "cri/client/inventory.h"
#include "cri/client/text/table.h"
#include "oci-spec/json.h"

namespace husk::pod {
namespace {

using oci::Json;

struct Network {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

// Not every daemon has pod stats: without them the network columns stay empty.
std::map<std::string, Network> read_networks(Daemon& daemon) {
  std::map<std::string, Network> networks;
  const auto response = daemon.call(&cri::RuntimeService::Stub::ListPodSandboxStats, cri::ListPodSandboxStatsRequest{}, "pod stats");
  if (!response.has_value()) return networks;
  for (const auto& pod : response.value().stats()) {
    if (!pod.linux().has_network()) continue;
    const auto& link = pod.linux().network().default_interface();
    networks[pod.attributes().id()] = {.received = link.rx_bytes().value(), .sent = link.tx_bytes().value()};
  }
  return networks;
}

struct Row {
  const cri::ContainerStats* stats;
  const cri::Container* container;
  const cri::PodSandbox* pod;
  const Network* network;
};

Json json_of(const Row& row) {
  const auto& stats = *row.stats;
  Json json = Json::object();
  json.set("container_id", stats.attributes().id()).set("name", stats.attributes().metadata().name());
  if (row.container != nullptr) json.set("pod_id", row.container->pod_sandbox_id());
  if (row.pod != nullptr) json.set("pod_name", row.pod->metadata().name());
  json.set("cpu_ns", Json{std::uint64_t{stats.cpu().usage_core_nano_seconds().value()}});
  json.set("memory_working_set_bytes", Json{std::uint64_t{stats.memory().working_set_bytes().value()}});
  json.set("memory_usage_bytes", Json{std::uint64_t{stats.memory().usage_bytes().value()}});
  json.set("disk_bytes", Json{std::uint64_t{stats.writable_layer().used_bytes().value()}});
  json.set("disk_inodes", Json{std::uint64_t{stats.writable_layer().inodes_used().value()}});
  if (row.network == nullptr) return json;
  return json.set("pod_received_bytes", Json{row.network->received}).set("pod_sent_bytes", Json{row.network->sent});
}

std::vector<std::string> cells_of(const Row& row) {
  const auto& stats = *row.stats;
  return {short_id(stats.attributes().id()),
          stats.attributes().metadata().name(),
          row.pod != nullptr ? row.pod->metadata().name() : "",
          stats.has_cpu() ? format_cpu(stats.cpu().usage_core_nano_seconds().value()) : "",
          stats.has_memory() ? format_size(stats.memory().working_set_bytes().value()) : "",
          stats.has_writable_layer() ? format_size(stats.writable_layer().used_bytes().value()) : "",
          row.network != nullptr ? format_size(row.network->received) : "",
          row.network != nullptr ? format_size(row.network->sent) : ""};
}

// Ids of the containers that the words mean; all when there are no words.
Result<std::set<std::string>> wanted_ids(const Inventory& inventory, const std::vector<std::string>& words) {
  std::set<std::string> ids;
  for (const auto& word : words) {
    const auto pod = find_pod(inventory, word);
    if (!pod.has_value()) {
      const auto* container = TRY(find_container(inventory, word));
      ids.insert(container->id());
      continue;
    }
    for (const auto& container : inventory.containers)
      if (container.pod_sandbox_id() == pod.value()->id()) ids.insert(container.id());
  }
  return ids;
}

}  // namespace

Result<int> run_stats(Daemon& daemon, const Options& options) {
  const auto inventory = TRY(read_inventory(daemon));
  const auto wanted = TRY(wanted_ids(inventory, options.words()));
  const auto response = TRY(daemon.call(&cri::RuntimeService::Stub::ListContainerStats, cri::ListContainerStatsRequest{}, "container stats"));
  const auto networks = read_networks(daemon);
  std::vector<Row> rows;
  for (const auto& stats : response.stats()) {
    if (!options.words().empty() && !wanted.contains(stats.attributes().id())) continue;
    Row row{.stats = &stats, .container = nullptr, .pod = nullptr, .network = nullptr};
    for (const auto& container : inventory.containers)
      if (container.id() == stats.attributes().id()) row.container = &container;
    if (row.container != nullptr) row.pod = inventory.pod_of(*row.container);
    if (row.pod != nullptr && networks.contains(row.pod->id())) row.network = &networks.at(row.pod->id());
    rows.push_back(row);
  }
  if (options.has("json")) {
    Json list = Json::array();
    for (const auto& row : rows) list.push(json_of(row));
    TRY(print(list.dump(2) + "\n"));
    return 0;
  }
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows) cells.push_back(cells_of(row));
  TRY(print(format_table({"CONTAINER ID", "NAME", "POD", "CPU TIME", "MEMORY", "DISK", "POD RX", "POD TX"}, cells)));
  return 0;
}

}  // namespace husk::pod
