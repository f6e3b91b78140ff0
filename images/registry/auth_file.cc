#include "images/registry/auth_file.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "oci-spec/json.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxAuthFile = 1U << 20U;

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// base64 "user:password"
Result<std::pair<std::string, std::string>> decode_auth(const oci::JsonReader& reader) {
  const auto text = TRY(reader.string());
  std::string decoded(text.size() / 4 * 3 + 3, '\0');
  const int length =
      ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length < 0) return reader.error("is not base64");
  decoded.resize(static_cast<std::size_t>(length));
  while (decoded.ends_with('\0')) decoded.pop_back();  // padding, and Docker's NULs
  const auto colon = decoded.find(':');
  if (colon == std::string::npos) return reader.error("does not hold user:password");
  return std::pair{decoded.substr(0, colon), decoded.substr(colon + 1)};
}

Result<Credentials> parse_entry(const oci::JsonReader& entry) {
  Credentials credentials;
  if (const auto auth = entry.find("auth"); auth.has_value() && auth->json() .as_string() != nullptr &&
                                            !auth->json().as_string()->empty()) {
    auto pair = TRY(decode_auth(*auth));
    credentials.username = std::move(pair.first);
    credentials.password = std::move(pair.second);
  }
  if (auto token = TRY(entry.find_string("identitytoken")); token.has_value()) credentials.identity_token = *token;
  if (auto token = TRY(entry.find_string("registrytoken")); token.has_value()) credentials.registry_token = *token;
  return credentials;
}

std::vector<std::string> keys_of(const Reference& reference) {
  std::vector<std::string> keys;
  auto name = reference.name();
  for (;;) {
    keys.push_back(name);
    const auto slash = name.rfind('/');
    if (slash == std::string::npos) break;
    name.resize(slash);
  }
  if (reference.domain == "docker.io") {
    keys.emplace_back("https://index.docker.io/v1/");
    keys.emplace_back("index.docker.io");
  } else {
    keys.push_back("https://" + reference.domain);
  }
  return keys;
}

}  // namespace

std::vector<std::string> auth_files() {
  if (auto file = variable("REGISTRY_AUTH_FILE"); !file.empty()) return {file};
  std::vector<std::string> files;
  const auto runtime = variable("XDG_RUNTIME_DIR");
  files.push_back(runtime.empty() ? format_text("/run/containers/{}/auth.json", ::getuid()) : runtime + "/containers/auth.json");
  const auto home = variable("HOME");
  const auto config = variable("XDG_CONFIG_HOME");
  files.push_back((config.empty() ? home + "/.config" : config) + "/containers/auth.json");
  const auto docker = variable("DOCKER_CONFIG");
  files.push_back((docker.empty() ? home + "/.docker" : docker) + "/config.json");
  return files;
}

Result<std::optional<Credentials>> find_credentials(const std::vector<std::string>& files, const Reference& reference) {
  for (const auto& file : files) {
    if (!path_exists(file)) continue;
    const auto text = TRY(read_file(file, kMaxAuthFile));
    const auto step = format_text("read {}", quote(file));
    const auto json = TRY(oci::parse_json(text, {.max_bytes = kMaxAuthFile, .max_depth = 16}).during(step));
    const auto auths = oci::JsonReader{json}.find("auths");
    if (!auths.has_value()) continue;
    for (const auto& key : keys_of(reference))
      if (const auto entry = auths->find(key); entry.has_value())
        return std::optional{TRY(parse_entry(*entry).during(step))};
  }
  return std::optional<Credentials>{};
}

}  // namespace husk::images
