#include "cri/config.h"

#include <algorithm>
#include <array>
#include <functional>

#include <toml++/toml.h>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cri/capabilities.h"
#include "oci-spec/json.h"

namespace husk::cri {
namespace {

// Where errors point to.
struct Place {
  const std::string& file;
  std::string key;
  const toml::node& node;
  Error error(std::string what) const {
    const auto begin = node.source().begin;
    return Error{Kind::invalid,
                 format_text("{}:{}:{}: {} {}", file, begin.line, begin.column, quote(key), std::move(what))};
  }
};

Status read_into(const Place& place, std::string& into) {
  const auto* value = place.node.as_string();
  if (value == nullptr) return place.error("must be a string");
  into = value->get();
  return ok();
}
Status read_into(const Place& place, bool& into) {
  const auto* value = place.node.as_boolean();
  if (value == nullptr) return place.error("must be true or false");
  into = value->get();
  return ok();
}
Status read_into(const Place& place, std::int64_t& into) {
  const auto* value = place.node.as_integer();
  if (value == nullptr) return place.error("must be an integer");
  if (value->get() < 0) return place.error("must not be negative");
  into = value->get();
  return ok();
}
Status read_into(const Place& place, std::uint64_t& into) {
  std::int64_t value = 0;
  TRY(read_into(place, value));
  into = static_cast<std::uint64_t>(value);
  return ok();
}
Status read_into(const Place& place, std::vector<std::string>& into) {
  const auto* array = place.node.as_array();
  if (array == nullptr) return place.error("must be an array of strings");
  std::vector<std::string> items;
  for (const auto& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr) return place.error("must be an array of strings");
    items.push_back(text->get());
  }
  into = std::move(items);
  return ok();
}
Status read_into(const Place& place, log::Level& into) {
  std::string text;
  TRY(read_into(place, text));
  const auto level = log::parse_level(text);
  if (!level.has_value()) return place.error("must be debug, info, warning or error");
  into = level.value();
  return ok();
}
Status read_into(const Place& place, log::Form& into) {
  std::string text;
  TRY(read_into(place, text));
  if (text != "text" && text != "json") return place.error("must be text or json");
  into = text == "json" ? log::Form::json : log::Form::text;
  return ok();
}
// "RLIMIT_NOFILE=1024:524288"
Status read_into(const Place& place, std::vector<oci::Rlimit>& into) {
  std::vector<std::string> items;
  TRY(read_into(place, items));
  for (const auto& item : items) {
    const auto equals = item.find('=');
    const auto colon = item.find(':', equals == std::string::npos ? 0 : equals);
    if (!item.starts_with("RLIMIT_") || equals == std::string::npos || colon == std::string::npos)
      return place.error(format_text("item {} must look like \"RLIMIT_NOFILE=1024:524288\"", quote(item)));
    const auto soft = parse_uint64(item.substr(equals + 1, colon - equals - 1));
    const auto hard = parse_uint64(item.substr(colon + 1));
    if (!soft.has_value() || !hard.has_value() || soft.value() > hard.value())
      return place.error(format_text("item {} needs two numbers, the first not above the second", quote(item)));
    into.push_back({.type = item.substr(0, equals), .soft = soft.value(), .hard = hard.value()});
  }
  return ok();
}

using Reader = std::function<Status(const Place&, Config&)>;
struct Key {
  std::string_view table;  // "" = top level
  std::string_view name;
  Reader read;
};

#define HUSK_KEY(table, name, member) \
  Key { table, name, [](const Place& place, Config& config) { return read_into(place, config.member); } }

// Adding a key is adding a row (and its paragraph in man/huskd.toml.5: a test compares).
const std::vector<Key>& keys() {
  static const std::vector<Key> all{
      HUSK_KEY("", "root", root),
      HUSK_KEY("", "state", state),
      HUSK_KEY("", "listen", listen),
      HUSK_KEY("", "max_threads", max_threads),
      HUSK_KEY("log", "level", log_level),
      HUSK_KEY("log", "format", log_form),
      HUSK_KEY("log", "file", log_file),
      HUSK_KEY("runtime", "husk", runtime.husk),
      HUSK_KEY("runtime", "monitor", runtime.monitor),
      HUSK_KEY("runtime", "pause", runtime.pause),
      HUSK_KEY("runtime", "cgroup_driver", runtime.cgroup_driver),
      HUSK_KEY("runtime", "cgroup_parent", runtime.cgroup_parent),
      HUSK_KEY("runtime", "scope_prefix", runtime.scope_prefix),
      HUSK_KEY("runtime", "request_timeout_seconds", runtime.request_timeout_seconds),
      HUSK_KEY("runtime", "pids_limit", runtime.pids_limit),
      HUSK_KEY("runtime", "shm_bytes", runtime.shm_bytes),
      HUSK_KEY("runtime", "create_missing_mount_sources", runtime.create_missing_mount_sources),
      HUSK_KEY("runtime", "unprivileged_ports", runtime.unprivileged_ports),
      HUSK_KEY("runtime", "unprivileged_ping", runtime.unprivileged_ping),
      HUSK_KEY("runtime", "seccomp_profile", runtime.seccomp_profile),
      HUSK_KEY("runtime", "capabilities", runtime.capabilities),
      HUSK_KEY("runtime", "rlimits", runtime.rlimits),
      HUSK_KEY("network", "bridge", network.bridge),
      HUSK_KEY("network", "subnet", network.subnet),
      HUSK_KEY("network", "table", network.table),
      HUSK_KEY("images", "registries_conf", images.registries_conf),
      HUSK_KEY("images", "registries_conf_dir", images.registries_conf_dir),
      HUSK_KEY("images", "certs_dirs", images.certs_dirs),
      HUSK_KEY("images", "pinned", images.pinned),
  };
  return all;
}
#undef HUSK_KEY

std::string known_names(std::string_view table) {
  std::vector<std::string> names;
  for (const auto& key : keys())
    if (key.table == table) names.emplace_back(key.name);
  if (table.empty())
    for (const auto& key : keys())
      if (const auto name = format_text("[{}]", key.table);
          !key.table.empty() && std::ranges::find(names, name) == names.end())
        names.push_back(name);
  return join(names, ", ");
}

Status read_table(const toml::table& table, std::string_view prefix, const std::string& file, Config& config) {
  for (const auto& [name, node] : table) {
    const auto full = prefix.empty() ? std::string{name.str()} : format_text("{}.{}", prefix, name.str());
    const Place place{.file = file, .key = full, .node = node};
    const bool is_section = prefix.empty() && std::ranges::any_of(keys(), [&](const Key& key) {
                              return !key.table.empty() && key.table == name.str();
                            });
    if (is_section) {
      if (node.as_table() == nullptr) return place.error("must be a table");
      TRY(read_table(*node.as_table(), name.str(), file, config));
      continue;
    }
    const auto key = std::ranges::find_if(
        keys(), [&](const Key& item) { return item.table == prefix && item.name == name.str(); });
    if (key == keys().end())
      return place.error("is not a key of huskd.toml").hint(format_text("known here: {}", known_names(prefix)));
    TRY(key->read(place, config));
  }
  return ok();
}

Status check_absolute(std::string_view name, const std::string& path) {
  if (path.starts_with('/') && path.find('\0') == std::string::npos) return ok();
  return Error{Kind::invalid, format_text("{}: {} is not an absolute path", name, quote(path))};
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file_name) {
  Config config;
  toml::table table;
  try {
    table = toml::parse(text, file_name);
  } catch (const toml::parse_error& error) {
    const auto begin = error.source().begin;
    return Error{Kind::invalid,
                 format_text("{}:{}:{}: {}", file_name, begin.line, begin.column, std::string{error.description()})};
  }
  TRY(read_table(table, "", file_name, config));
  return config;
}

Result<Config> read_config(const std::string& path) {
  const auto text = TRY(read_file(path, 1U << 20U).during("read the configuration"));
  return parse_config(text, path);
}

namespace {

Status check_cgroups(const Config::Runtime& runtime) {
  if (runtime.cgroup_driver != "cgroupfs" && runtime.cgroup_driver != "systemd")
    return Error{Kind::invalid, format_text("runtime.cgroup_driver: {} is neither \"cgroupfs\" nor \"systemd\"", quote(runtime.cgroup_driver))};
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
  if (runtime.scope_prefix.empty() || runtime.scope_prefix.size() > 64 || !std::ranges::all_of(runtime.scope_prefix, is_letter))
    return Error{Kind::invalid, format_text("runtime.scope_prefix: {} is not a name of letters, digits and dashes", quote(runtime.scope_prefix))};
  return check_absolute("runtime.cgroup_parent", runtime.cgroup_parent);
}

}  // namespace

Status check_config(const Config& config) {
  TRY(check_absolute("root", config.root));
  TRY(check_absolute("state", config.state));
  if (!config.listen.starts_with("unix:///"))
    return Error{Kind::invalid, format_text("listen: {} is not of the form unix:///PATH", quote(config.listen))};
  // sun_path of man 7 unix; gRPC has no way around it.
  if (config.socket_path().size() > 107)
    return Error{Kind::invalid, format_text("listen: {} is longer than 107 bytes", quote(config.socket_path()))};
  if (config.max_threads < 8 || config.max_threads > 10'000)
    return Error{Kind::invalid, format_text("max_threads: {} is not between 8 and 10000", config.max_threads)};
  if (config.runtime.request_timeout_seconds < 1 || config.runtime.request_timeout_seconds > 86'400)
    return Error{Kind::invalid, format_text("runtime.request_timeout_seconds: {} is not between 1 and 86400",
                                            config.runtime.request_timeout_seconds)};
  TRY(check_cgroups(config.runtime));
  for (const auto& name : config.runtime.capabilities)
    if (!capability_name(name).has_value())
      return Error{Kind::invalid, format_text("runtime.capabilities: {} is not a capability", quote(name))};
  for (const auto& [name, path] : {std::pair<std::string_view, const std::string&>{"runtime.husk", config.runtime.husk},
                                   {"runtime.monitor", config.runtime.monitor},
                                   {"runtime.pause", config.runtime.pause},
                                   {"runtime.seccomp_profile", config.runtime.seccomp_profile},
                                   {"log.file", config.log_file}})
    if (!path.empty()) TRY(check_absolute(name, path));
  return ok();
}

std::string config_json(const Config& config) {
  using oci::Json;
  Json json = Json::object();
  json.set("root", config.root).set("state", config.state).set("listen", config.listen);
  json.set("maxThreads", config.max_threads);
  Json runtime = Json::object();
  runtime.set("husk", config.runtime.husk).set("monitor", config.runtime.monitor).set("pause", config.runtime.pause);
  runtime.set("cgroupDriver", config.runtime.cgroup_driver).set("scopePrefix", config.runtime.scope_prefix);
  runtime.set("cgroupParent", config.runtime.cgroup_parent).set("pidsLimit", config.runtime.pids_limit);
  runtime.set("requestTimeoutSeconds", config.runtime.request_timeout_seconds);
  runtime.set("shmBytes", config.runtime.shm_bytes);
  runtime.set("createMissingMountSources", config.runtime.create_missing_mount_sources);
  runtime.set("unprivilegedPorts", config.runtime.unprivileged_ports);
  runtime.set("unprivilegedPing", config.runtime.unprivileged_ping);
  runtime.set("seccompProfile", config.runtime.seccomp_profile).set("capabilities", config.runtime.capabilities);
  json.set("runtime", std::move(runtime));
  json.set("network", Json::object()
                          .set("bridge", config.network.bridge)
                          .set("subnet", config.network.subnet)
                          .set("table", config.network.table));
  json.set("images", Json::object()
                         .set("registriesConf", config.images.registries_conf)
                         .set("registriesConfDir", config.images.registries_conf_dir)
                         .set("certsDirs", config.images.certs_dirs)
                         .set("pinned", config.images.pinned));
  return json.dump();
}

}  // namespace husk::cri
