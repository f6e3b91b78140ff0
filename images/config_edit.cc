#include "images/config_edit.h"

#include <cstdlib>

#include "base/clock.h"
#include "base/format.h"
#include "base/text.h"
#include "images/platform.h"
#include "oci-spec/json.h"

namespace husk::images {
namespace {

using oci::Json;

Json member_or(const Json& object, std::string_view key, Json otherwise) {
  const auto* found = object.find(key);
  return found == nullptr || found->is_null() ? std::move(otherwise) : *found;
}

Json string_list(const std::vector<std::string>& values) {
  auto list = Json::array();
  for (const auto& value : values) list.push(Json{value});
  return list;
}

std::string_view name_of_variable(std::string_view text) { return text.substr(0, text.find('=')); }

Json edited_env(const Json& config, const std::vector<std::string>& changes) {
  std::vector<std::string> variables;
  const auto env = member_or(config, "Env", Json::array());
  if (const auto* list = env.as_array())
    for (const auto& item : *list)
      if (const auto* text = item.as_string()) variables.push_back(*text);
  for (const auto& change : changes) {
    bool replaced = false;
    for (auto& variable : variables) {
      if (name_of_variable(variable) != name_of_variable(change)) continue;
      variable = change;
      replaced = true;
    }
    if (!replaced) variables.push_back(change);
  }
  return string_list(variables);
}

// "ExposedPorts" and "Volumes" are objects whose members are empty objects (config.md).
Json edited_set(const Json& config, std::string_view key, const std::vector<std::string>& names) {
  auto set = member_or(config, key, Json::object());
  for (const auto& name : names) set.set(name, Json::object());
  return set;
}

Json edited_container(Json config, const ConfigChanges& changes) {
  if (changes.entrypoint.has_value()) {
    config.set("Entrypoint", string_list(*changes.entrypoint));
    // Arguments meant for another program would be wrong (as docker commit --change does it).
    if (!changes.cmd.has_value()) config.set("Cmd", Json{});
  }
  if (changes.cmd.has_value()) config.set("Cmd", string_list(*changes.cmd));
  if (!changes.env.empty()) config.set("Env", edited_env(config, changes.env));
  if (changes.working_dir.has_value()) config.set("WorkingDir", Json{*changes.working_dir});
  if (changes.user.has_value()) config.set("User", Json{*changes.user});
  if (changes.stop_signal.has_value()) config.set("StopSignal", Json{*changes.stop_signal});
  if (!changes.exposed_ports.empty()) config.set("ExposedPorts", edited_set(config, "ExposedPorts", changes.exposed_ports));
  if (!changes.volumes.empty()) config.set("Volumes", edited_set(config, "Volumes", changes.volumes));
  if (changes.labels.empty()) return config;
  auto labels = member_or(config, "Labels", Json::object());
  for (const auto& [key, value] : changes.labels) labels.set(key, Json{value});
  config.set("Labels", std::move(labels));
  return config;
}

Json history_entry(const HistoryEntry& history, const std::string& created, bool empty_layer) {
  auto entry = Json::object();
  entry.set("created", Json{created});
  if (!history.author.empty()) entry.set("author", Json{history.author});
  entry.set("created_by", Json{history.created_by});
  if (!history.comment.empty()) entry.set("comment", Json{history.comment});
  if (empty_layer) entry.set("empty_layer", Json{true});
  return entry;
}

}  // namespace

Result<std::string> edit_config(const std::string& config, const ConfigChanges& changes, const std::string& diff_id,
                                const std::string& created, const HistoryEntry& history) {
  auto root = TRY(oci::parse_json(config));
  if (!root.is_object()) return Error{Kind::invalid, "the image's configuration is no JSON object"};
  root.set("created", Json{created});
  if (!history.author.empty()) root.set("author", Json{history.author});
  root.set("config", edited_container(member_or(root, "config", Json::object()), changes));
  auto rootfs = member_or(root, "rootfs", Json::object());
  auto diff_ids = member_or(rootfs, "diff_ids", Json::array());
  if (!diff_id.empty()) diff_ids.push(Json{diff_id});
  rootfs.set("type", Json{"layers"});
  rootfs.set("diff_ids", std::move(diff_ids));
  root.set("rootfs", std::move(rootfs));
  auto entries = member_or(root, "history", Json::array());
  entries.push(history_entry(history, created, diff_id.empty()));
  root.set("history", std::move(entries));
  return root.dump();
}

std::string empty_config() {
  const auto platform = host_platform();
  auto root = Json::object();
  root.set("created", Json{""});
  root.set("architecture", Json{platform.architecture});
  root.set("os", Json{platform.os});
  root.set("config", Json::object());
  return root.dump();
}

Result<std::optional<std::int64_t>> source_date_epoch() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return std::optional<std::int64_t>{};
  const auto value = parse_int64(text);
  if (!value.has_value() || value.value() < 0 || value.value() > 253402300799)  // the year 9999
    return Error{Kind::invalid, format_text("SOURCE_DATE_EPOCH is {}", quote(text))}.hint("it must be a time in seconds since 1970");
  return std::optional<std::int64_t>{value.value()};
}

std::string created_text(std::optional<std::int64_t> epoch) {
  return rfc3339(epoch.has_value() ? *epoch * 1'000'000'000 : now_unix_ns());
}

}  // namespace husk::images
