#include "images/cli/image_json.h"

namespace husk::images::cli {

using oci::Json;

oci::Json image_json(const Image& image) {
  auto labels = Json::object();
  for (const auto& [key, value] : image.config.labels) labels.set(key, Json{value});
  auto config = Json::object();
  config.set("user", Json{image.config.user});
  config.set("env", Json{image.config.env});
  config.set("entrypoint", Json{image.config.entrypoint});
  config.set("cmd", Json{image.config.cmd});
  config.set("volumes", Json{image.config.volumes});
  config.set("workingDir", Json{image.config.working_dir});
  config.set("stopSignal", Json{image.config.stop_signal});
  config.set("exposedPorts", Json{image.config.exposed_ports});
  config.set("labels", std::move(labels));
  auto json = Json::object();
  json.set("id", Json{image.id});
  json.set("repoTags", Json{image.repo_tags});
  json.set("repoDigests", Json{image.repo_digests});
  json.set("size", Json{image.size_bytes});
  json.set("created", Json{image.created});
  json.set("pinned", Json{image.pinned});
  json.set("layers", Json{image.layer_chain_ids});
  json.set("config", std::move(config));
  return json;
}

}  // namespace husk::images::cli
