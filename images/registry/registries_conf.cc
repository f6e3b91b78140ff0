#include "images/registry/registries_conf.h"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxConfBytes = 1U << 20U;

Error wrong(const std::string& file, const toml::node& node, std::string_view why) {
  return Error{Kind::invalid, format_text("{}:{}: {}", file, node.source().begin.line, why)};
}

Result<std::string> text_of(const std::string& file, const toml::table& table, std::string_view key) {
  const auto* node = table.get(key);
  if (node == nullptr) return std::string{};
  const auto text = node->value_exact<std::string>();
  if (!text.has_value()) return wrong(file, *node, format_text("{} must be a string", key));
  return *text;
}

Result<bool> flag_of(const std::string& file, const toml::table& table, std::string_view key) {
  const auto* node = table.get(key);
  if (node == nullptr) return false;
  const auto flag = node->value_exact<bool>();
  if (!flag.has_value()) return wrong(file, *node, format_text("{} must be true or false", key));
  return *flag;
}

Result<Mirror> parse_mirror(const std::string& file, const toml::table& table) {
  Mirror mirror;
  mirror.location = TRY(text_of(file, table, "location"));
  mirror.insecure = TRY(flag_of(file, table, "insecure"));
  const auto from = TRY(text_of(file, table, "pull-from-mirror"));
  if (mirror.location.empty()) return wrong(file, table, "a mirror needs a location");
  if (from == "digest-only") {
    mirror.pull_from = PullFrom::digest_only;
  } else if (from == "tag-only") {
    mirror.pull_from = PullFrom::tag_only;
  } else if (!from.empty() && from != "all") {
    return wrong(file, table, format_text("pull-from-mirror is {}; use all, digest-only or tag-only", quote(from)));
  }
  return mirror;
}

Result<RegistryRule> parse_rule(const std::string& file, const toml::table& table) {
  RegistryRule rule;
  rule.prefix = TRY(text_of(file, table, "prefix"));
  rule.location = TRY(text_of(file, table, "location"));
  rule.insecure = TRY(flag_of(file, table, "insecure"));
  rule.blocked = TRY(flag_of(file, table, "blocked"));
  rule.mirror_by_digest_only = TRY(flag_of(file, table, "mirror-by-digest-only"));
  if (rule.prefix.empty()) rule.prefix = rule.location;
  if (rule.prefix.empty()) return wrong(file, table, "a registry needs a prefix or a location");
  if (rule.prefix.starts_with("*.") && rule.prefix.contains('/'))
    return wrong(file, table, "a prefix with a wildcard must not have a path");
  const auto* mirrors = table.get_as<toml::array>("mirror");
  for (std::size_t i = 0; mirrors != nullptr && i < mirrors->size(); ++i) {
    const auto* mirror = mirrors->get_as<toml::table>(i);
    if (mirror == nullptr) return wrong(file, *mirrors, "mirror must be a table");
    rule.mirrors.push_back(TRY(parse_mirror(file, *mirror)));
  }
  return rule;
}

Result<std::vector<RegistryRule>> parse_file(const std::string& path) {
  std::vector<RegistryRule> rules;
  const auto text = TRY(read_file(path, kMaxConfBytes));
  const auto parsed = toml::parse(text, path);
  if (parsed.failed())
    return Error{Kind::invalid, format_text("{}:{}: {}", path, parsed.error().source().begin.line,
                                            parsed.error().description())};
  const auto* registries = parsed.table().get_as<toml::array>("registry");
  for (std::size_t i = 0; registries != nullptr && i < registries->size(); ++i) {
    const auto* registry = registries->get_as<toml::table>(i);
    if (registry == nullptr) return wrong(path, *registries, "registry must be a table");
    rules.push_back(TRY(parse_rule(path, *registry)));
  }
  return rules;
}

Result<std::vector<std::string>> conf_files(const std::string& file, const std::string& directory) {
  std::vector<std::string> files;
  if (!file.empty() && path_exists(file)) files.push_back(file);
  if (directory.empty() || !path_exists(directory)) return files;
  const auto fd = TRY(sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  std::vector<std::string> names;
  for (const auto& entry : TRY(sys::list_dir(fd.get())))
    if (entry.name.ends_with(".conf")) names.push_back(entry.name);
  std::ranges::sort(names);
  for (const auto& name : names) files.push_back(directory + "/" + name);
  return files;
}

// A prefix matches whole components: "docker.io/lib" does not match "docker.io/library/x".
bool matches(const std::string& prefix, const std::string& name) {
  if (prefix.starts_with("*.")) {
    const auto host = name.substr(0, name.find('/'));
    return host.ends_with(prefix.substr(1));
  }
  if (!name.starts_with(prefix)) return false;
  return name.size() == prefix.size() || name[prefix.size()] == '/' || name[prefix.size()] == ':';
}

Endpoint make_endpoint(const std::string& location, const std::string& rest) {
  const auto whole = location + rest;
  const auto slash = whole.find('/');
  return {.host = whole.substr(0, slash), .path = slash == std::string::npos ? "" : whole.substr(slash + 1)};
}

}  // namespace

Result<RegistriesConf> RegistriesConf::load(const std::string& file, const std::string& directory) {
  RegistriesConf conf;
  for (const auto& path : TRY(conf_files(file, directory))) {
    auto rules = TRY(parse_file(path).during("registries.conf"));
    for (auto& rule : rules) {
      std::erase_if(conf.rules_, [&](const RegistryRule& old) { return old.prefix == rule.prefix; });
      conf.rules_.push_back(std::move(rule));
    }
  }
  return conf;
}

const RegistryRule* RegistriesConf::find(const std::string& name) const {
  const RegistryRule* best = nullptr;
  for (const auto& rule : rules_)
    if (matches(rule.prefix, name) && (best == nullptr || rule.prefix.size() > best->prefix.size())) best = &rule;
  return best;
}

Result<std::vector<Endpoint>> RegistriesConf::endpoints(const Reference& reference) const {
  std::vector<Endpoint> endpoints;
  const auto name = reference.name();
  const auto* rule = find(name);
  if (rule == nullptr) {
    endpoints.push_back(make_endpoint(name, ""));
  } else {
    if (rule->blocked)
      return Error{Kind::denied, format_text("registry {} is blocked by registries.conf", quote(rule->prefix))};
    const auto rest = rule->prefix.starts_with("*.") ? name.substr(name.find('/')) : name.substr(rule->prefix.size());
    for (const auto& mirror : rule->mirrors) {
      auto endpoint = make_endpoint(mirror.location, rest);
      endpoint.insecure = mirror.insecure;
      endpoint.is_mirror = true;
      endpoint.pull_from = rule->mirror_by_digest_only ? PullFrom::digest_only : mirror.pull_from;
      const bool by_digest = !reference.digest.empty();
      if (endpoint.pull_from == PullFrom::digest_only && !by_digest) continue;
      if (endpoint.pull_from == PullFrom::tag_only && by_digest) continue;
      endpoints.push_back(std::move(endpoint));
    }
    const bool wildcard = rule->prefix.starts_with("*.");
    auto primary = rule->location.empty() || wildcard ? make_endpoint(name, "") : make_endpoint(rule->location, rest);
    primary.insecure = rule->insecure;
    endpoints.push_back(std::move(primary));
  }
  for (auto& endpoint : endpoints)
    if (endpoint.host == "docker.io") endpoint.host = "registry-1.docker.io";
  return endpoints;
}

Result<HostCertificates> load_certificates(const std::vector<std::string>& certs_dirs, const std::string& host) {
  HostCertificates certificates;
  for (const auto& directory : certs_dirs) {
    const auto path = directory + "/" + host;
    if (!path_exists(path)) continue;
    certificates.found = true;
    const auto fd = TRY(sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
    for (const auto& entry : TRY(sys::list_dir(fd.get()))) {
      const auto file = path + "/" + entry.name;
      if (entry.name.ends_with(".crt")) certificates.tls.ca_pem += TRY(read_file(file, kMaxConfBytes)) + "\n";
      if (!entry.name.ends_with(".cert")) continue;
      certificates.tls.client_cert = file;
      certificates.tls.client_key = file.substr(0, file.size() - 5) + ".key";
      if (!path_exists(certificates.tls.client_key))
        return Error{Kind::invalid, format_text("{} has no key beside it", quote(file))}.hint(
            "put the key into " + certificates.tls.client_key);
    }
    return certificates;
  }
  return certificates;
}

}  // namespace husk::images
