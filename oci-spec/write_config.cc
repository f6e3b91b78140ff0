#include "oci-spec/names.h"
#include "oci-spec/parse_config.h"
#include "oci-spec/write_parts.h"

namespace husk::oci {

void put(Json& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object.set(std::string{key}, Json{value});
}

void put(Json& object, std::string_view key, bool value) {
  if (value) object.set(std::string{key}, Json{true});
}

void put(Json& object, std::string_view key, const std::optional<bool>& value) {
  if (value.has_value()) object.set(std::string{key}, Json{*value});
}

void put(Json& object, std::string_view key, const std::vector<std::string>& values) {
  if (!values.empty()) object.set(std::string{key}, Json{values});
}

void put(Json& object, std::string_view key, const StringMap& map) {
  if (map.empty()) return;
  Json members = Json::object();
  for (const auto& [name, value] : map) members.append(name, Json{value});  // unique since they were parsed
  object.set(std::string{key}, std::move(members));
}

Json id_mapping_json(const IdMapping& mapping) {
  Json json = Json::object();
  put_required(json, "containerID", mapping.container_id);
  put_required(json, "hostID", mapping.host_id);
  put_required(json, "size", mapping.size);
  return json;
}

namespace {

Json root_json(const Root& root) {
  Json json = Json::object();
  json.set("path", Json{root.path});
  put(json, "readonly", root.readonly);
  return json;
}

Json mount_json(const Mount& mount) {
  Json json = Json::object();
  json.set("destination", Json{mount.destination});
  put(json, "type", mount.type);
  put(json, "source", mount.source);
  put(json, "options", mount.options);
  put_list(json, "uidMappings", mount.uid_mappings, id_mapping_json);
  put_list(json, "gidMappings", mount.gid_mappings, id_mapping_json);
  return json;
}

Json hook_json(const Hook& hook) {
  Json json = Json::object();
  json.set("path", Json{hook.path});
  put(json, "args", hook.args);
  put(json, "env", hook.env);
  put(json, "timeout", hook.timeout_seconds);
  return json;
}

Json hooks_json(const Hooks& hooks) {
  Json json = Json::object();
  for (const auto& stage : kHookStages) put_list(json, stage.name, hooks.*stage.hooks, hook_json);
  return json;
}

void put_unless_empty(Json& object, std::string_view key, Json part) {
  if (!part.as_object()->empty()) object.set(std::string{key}, std::move(part));
}

}  // namespace

std::string write_config(const Spec& spec) {
  Json json = Json::object();
  json.set("ociVersion", Json{spec.oci_version});
  put_object(json, "process", spec.process, process_json);
  put_object(json, "root", spec.root, root_json);
  put(json, "hostname", spec.hostname);
  put(json, "domainname", spec.domainname);
  put_list(json, "mounts", spec.mounts, mount_json);
  put_unless_empty(json, "hooks", hooks_json(spec.hooks));
  put(json, "annotations", spec.annotations);
  put_unless_empty(json, "linux", linux_json(spec.linux));
  return json.dump(2) + "\n";
}

std::string write_process(const Process& process) { return process_json(process).dump(2) + "\n"; }

std::string write_resources(const Resources& resources) { return resources_json(resources).dump(2) + "\n"; }

std::string write_mounts(const std::vector<Mount>& mounts) {
  Json json = Json::array();
  for (const auto& mount : mounts) json.push(mount_json(mount));
  return json.dump(2) + "\n";
}

}  // namespace husk::oci
