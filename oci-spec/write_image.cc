#include "oci-spec/image_fields.h"

namespace husk::oci {
namespace {

void put_name_set(Json& object, std::string_view key, const std::vector<std::string>& names) {
  if (names.empty()) return;
  Json set = Json::object();
  for (const auto& name : names) set.append(name, Json::object());
  object.set(std::string{key}, std::move(set));
}

Json container_config_json(const ContainerConfig& config) {
  Json json = Json::object();
  put(json, "User", config.user);
  put_name_set(json, "ExposedPorts", config.exposed_ports);
  put(json, "Env", config.env);
  put(json, "Entrypoint", config.entrypoint);
  put(json, "Cmd", config.cmd);
  put_name_set(json, "Volumes", config.volumes);
  put(json, "WorkingDir", config.working_dir);
  put(json, "Labels", config.labels);
  put(json, "StopSignal", config.stop_signal);
  put(json, "Shell", config.shell);
  put(json, "OnBuild", config.on_build);
  put(json, "ArgsEscaped", config.args_escaped);
  if (!config.healthcheck.is_null()) json.set("Healthcheck", config.healthcheck);
  return json;
}

Json history_json(const History& history) {
  Json json = Json::object();
  put(json, "created", history.created);
  put(json, "created_by", history.created_by);
  put(json, "author", history.author);
  put(json, "comment", history.comment);
  put(json, "empty_layer", history.empty_layer);
  return json;
}

Json platform_json(const ImagePlatform& platform) {
  Json json = Json::object();
  put_platform(json, platform);
  return json;
}

}  // namespace

void put_platform(Json& json, const ImagePlatform& platform) {
  json.set("architecture", Json{platform.architecture});
  json.set("os", Json{platform.os});
  put(json, "os.version", platform.os_version);
  put(json, "os.features", platform.os_features);
  put(json, "variant", platform.variant);
}

Json descriptor_json(const Descriptor& descriptor) {
  Json json = Json::object();
  json.set("mediaType", Json{descriptor.media_type});
  json.set("digest", Json{descriptor.digest.text()});
  put_required(json, "size", descriptor.size);
  put(json, "urls", descriptor.urls);
  put(json, "annotations", descriptor.annotations);
  put_object(json, "platform", descriptor.platform, platform_json);
  put(json, "artifactType", descriptor.artifact_type);
  return json;
}

std::string write_manifest(const Manifest& manifest) {
  Json json = Json::object();
  json.set("schemaVersion", Json{2});
  json.set("mediaType", Json{manifest.media_type});
  put(json, "artifactType", manifest.artifact_type);
  json.set("config", descriptor_json(manifest.config));
  json.set("layers", Json::array());
  put_list(json, "layers", manifest.layers, descriptor_json);
  put_object(json, "subject", manifest.subject, descriptor_json);
  put(json, "annotations", manifest.annotations);
  return json.dump();
}

std::string write_index(const Index& index) {
  Json json = Json::object();
  json.set("schemaVersion", Json{2});
  json.set("mediaType", Json{index.media_type});
  put(json, "artifactType", index.artifact_type);
  json.set("manifests", Json::array());
  put_list(json, "manifests", index.manifests, descriptor_json);
  put(json, "annotations", index.annotations);
  return json.dump();
}

std::string write_image_config(const ImageConfig& config) {
  Json json = Json::object();
  put(json, "created", config.created);
  put(json, "author", config.author);
  put_platform(json, config.platform);
  Json container = container_config_json(config.config);
  if (!container.as_object()->empty()) json.set("config", std::move(container));
  Json diff_ids = Json::array();
  for (const auto& diff_id : config.diff_ids) diff_ids.push(Json{diff_id.text()});
  Json rootfs = Json::object();
  rootfs.set("type", Json{"layers"});
  rootfs.set("diff_ids", std::move(diff_ids));
  json.set("rootfs", std::move(rootfs));
  put_list(json, "history", config.history, history_json);
  return json.dump();
}

}  // namespace husk::oci
