#include "base/format.h"
#include "oci-spec/image_fields.h"

namespace husk::oci {
namespace {

// {"80/tcp":{},"53/udp":{}} → the names: a set, as Go writes it. config.md#properties
Status read_name_set(const JsonReader& json, std::string_view key, std::vector<std::string>& into) {
  const auto found = json.find(key);
  if (!found.has_value()) return ok();
  const auto members = TRY(found->members());
  TRY(check_count(*found, members.size(), kMaxStrings));
  for (const auto& member : members) {
    if (member.name.find('\0') != std::string::npos) return found->error("a name must not contain a NUL character");
    into.push_back(member.name);
  }
  return ok();
}

Result<ContainerConfig> read_container_config(const JsonReader& json) {
  ContainerConfig config;
  TRY(read(json, "User", config.user));
  TRY(read_name_set(json, "ExposedPorts", config.exposed_ports));
  TRY(read(json, "Env", config.env));
  TRY(read(json, "Entrypoint", config.entrypoint));
  TRY(read(json, "Cmd", config.cmd));
  TRY(read_name_set(json, "Volumes", config.volumes));
  TRY(read(json, "WorkingDir", config.working_dir));
  TRY(read(json, "Labels", config.labels));
  TRY(read(json, "StopSignal", config.stop_signal));
  TRY(read(json, "Shell", config.shell));
  TRY(read(json, "OnBuild", config.on_build));
  TRY(read(json, "ArgsEscaped", config.args_escaped));
  if (const auto check = json.find("Healthcheck")) config.healthcheck = check->json();
  return config;
}

Result<History> read_history(const JsonReader& json) {
  History history;
  TRY(read(json, "created", history.created));
  TRY(read(json, "created_by", history.created_by));
  TRY(read(json, "author", history.author));
  TRY(read(json, "comment", history.comment));
  TRY(read(json, "empty_layer", history.empty_layer));
  return history;
}

// "rootfs": REQUIRED, its type MUST be "layers".
Result<std::vector<Digest>> read_diff_ids(const JsonReader& json) {
  const auto rootfs = TRY(json.require("rootfs"));
  std::string type;
  TRY(read_required(rootfs, "type", type));
  if (type != "layers") return rootfs.error("\"type\" must be \"layers\"");
  const auto list = TRY(rootfs.require("diff_ids"));
  const auto entries = TRY(list.elements());
  TRY(check_count(list, entries.size(), kMaxLayers));
  std::vector<Digest> diff_ids;
  for (const auto& entry : entries) {
    const auto text = TRY(entry.string());
    diff_ids.push_back(TRY(Digest::parse(text).during(format_text("\"{}\"", entry.pointer()))));
  }
  return diff_ids;
}

Result<ImageConfig> read_image_config(std::string_view text) {
  const auto json = TRY(parse_image_json(text));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  ImageConfig config;
  TRY(read(reader, "created", config.created));
  TRY(read(reader, "author", config.author));
  TRY(read_platform(reader, config.platform));
  if (config.platform.architecture.empty() || config.platform.os.empty())
    return reader.error("\"architecture\" and \"os\" are required");
  TRY(read_object(reader, "config", config.config, read_container_config));
  config.diff_ids = TRY(read_diff_ids(reader));
  TRY(read_list(reader, "history", config.history, kMaxStrings, read_history));
  return config;
}

}  // namespace

Result<ImageConfig> parse_image_config(std::string_view text) { return read_image_config(text).during("image config"); }

Status check_image_pair(const Manifest& manifest, const ImageConfig& config) {
  if (manifest.layers.size() == config.diff_ids.size()) return ok();
  return Error{Kind::invalid, format_text("the manifest has {} layers but the config {} diff_ids",
                                          manifest.layers.size(), config.diff_ids.size())};
}

}  // namespace husk::oci
