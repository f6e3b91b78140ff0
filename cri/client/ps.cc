#include <vector>

#include "base/clock.h"
#include "base/format.h"
#include "cri/client/commands.h"
#include "cri/client/inventory.h"
#include "cri/client/text/table.h"
#include "oci-spec/json.h"

namespace husk::pod {
namespace {

using oci::Json;

struct Row {
  const cri::PodSandbox* pod;
  const cri::Container* container;  // nullptr: a pod without one to show
};

std::vector<Row> rows_of(const Inventory& inventory, bool all) {
  std::vector<Row> rows;
  for (const auto& pod : inventory.pods) {
    bool shown = false;
    for (const auto& container : inventory.containers) {
      if (container.pod_sandbox_id() != pod.id()) continue;
      if (!all && container.state() != cri::CONTAINER_RUNNING) continue;
      rows.push_back({&pod, &container});
      shown = true;
    }
    if (!shown && (all || pod.state() == cri::SANDBOX_READY)) rows.push_back({&pod, nullptr});
  }
  return rows;
}

std::string image_text(const cri::Container& container) {
  const auto& image = container.image();
  if (!image.user_specified_image().empty()) return image.user_specified_image();
  return image.image().starts_with("sha256:") ? short_id(image.image().substr(7)) : image.image();
}

Json json_of(const Row& row) {
  Json json = Json::object();
  json.set("pod_id", row.pod->id()).set("pod_name", row.pod->metadata().name());
  json.set("namespace", row.pod->metadata().namespace_()).set("pod_state", state_name(row.pod->state()));
  json.set("pod_created_at", rfc3339(row.pod->created_at()));
  if (row.container == nullptr) return json;
  json.set("container_id", row.container->id()).set("name", row.container->metadata().name());
  json.set("attempt", Json{row.container->metadata().attempt()}).set("image", image_text(*row.container));
  json.set("image_id", row.container->image_id()).set("state", state_name(row.container->state()));
  return json.set("created_at", rfc3339(row.container->created_at()));
}

std::vector<std::string> cells_of(const Row& row, std::int64_t now_ns) {
  const auto& pod = *row.pod;
  if (row.container == nullptr)
    return {short_id(pod.id()), pod.metadata().name(), std::string{state_name(pod.state())}, "", "", "", "", format_age(pod.created_at(), now_ns)};
  const auto& container = *row.container;
  return {short_id(pod.id()),
          pod.metadata().name(),
          std::string{state_name(pod.state())},
          short_id(container.id()),
          container.metadata().name(),
          image_text(container),
          std::string{state_name(container.state())},
          format_age(container.created_at(), now_ns)};
}

}  // namespace

Result<int> run_ps(Daemon& daemon, const Options& options) {
  const auto inventory = TRY(read_inventory(daemon));
  const auto rows = rows_of(inventory, options.has("all"));
  if (options.has("json")) {
    Json list = Json::array();
    for (const auto& row : rows) list.push(json_of(row));
    TRY(print(list.dump(2) + "\n"));
    return 0;
  }
  const auto now_ns = now_unix_ns();
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows) cells.push_back(cells_of(row, now_ns));
  TRY(print(format_table({"POD ID", "POD", "POD STATE", "CONTAINER ID", "NAME", "IMAGE", "STATE", "AGE"}, cells)));
  return 0;
}

}  // namespace husk::pod
