// registries.conf (version 2) with its drop-ins: where a repository is really fetched from.
// Source: man 5 containers-registries.conf. Read at use, so that edits need no restart.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "images/reference.h"
#include "images/registry/http.h"

namespace husk::images {

enum class PullFrom : std::uint8_t { all, digest_only, tag_only };

struct Endpoint {
  std::string host;       // "mirror.example.com:5000"
  std::string path;       // repository there: "cache/library/busybox"
  bool insecure = false;  // plain HTTP and unverified TLS are allowed
  PullFrom pull_from = PullFrom::all;
  bool is_mirror = false;
};

struct Mirror {
  std::string location;
  bool insecure = false;
  PullFrom pull_from = PullFrom::all;
};
struct RegistryRule {
  std::string prefix;    // "docker.io/library", "*.example.com"
  std::string location;  // "" = the prefix itself
  bool insecure = false;
  bool blocked = false;
  bool mirror_by_digest_only = false;
  std::vector<Mirror> mirrors;
};

class RegistriesConf {
 public:
  // The main file and "*.conf" of the directory in byte order; a later file replaces a registry of the
  // same prefix. Absent files are no error; a broken one is, with file and line.
  static Result<RegistriesConf> load(const std::string& file, const std::string& directory);

  // Mirrors in order, then the registry itself. Errors: denied when the prefix is blocked.
  Result<std::vector<Endpoint>> endpoints(const Reference& reference) const;
  const std::vector<RegistryRule>& rules() const { return rules_; }

 private:
  const RegistryRule* find(const std::string& name) const;  // longest prefix wins
  std::vector<RegistryRule> rules_;
};

// TLS of a host from the first "<certs_dir>/<host:port>" that exists: *.crt are CAs, NAME.cert with
// NAME.key is the client's. `found` tells whether a directory was there. Source: man 5 containers-certs.d.
struct HostCertificates {
  bool found = false;
  TlsOptions tls;
};
Result<HostCertificates> load_certificates(const std::vector<std::string>& certs_dirs, const std::string& host);

}  // namespace husk::images
