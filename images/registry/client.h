// A registry's pull side: manifests and blobs of one repository at one endpoint.
// Source: distribution-spec spec.md#pull.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "images/images.h"
#include "images/registry/http.h"
#include "images/registry/registries_conf.h"

namespace husk::images {

struct FetchedManifest {
  std::string media_type;  // Content-Type without parameters; "" when the registry sent none
  std::string text;        // exact bytes
};

// What all requests of one pull share: where to go, with which credentials, the token once it is known.
class RegistrySession {
 public:
  RegistrySession(Endpoint endpoint, HostCertificates certificates, Credentials credentials,
                  const std::atomic<bool>* cancelled);

  const Endpoint& endpoint() const { return endpoint_; }

  // One attempt of a GET below /v2/<path>/, with authentication. Each thread passes its own client.
  Result<HttpResponse> get(HttpClient& http, const std::string& rest, const std::vector<std::string>& headers,
                           std::size_t max_body, BodySink sink);
  bool is_cancelled() const { return cancelled_ != nullptr && cancelled_->load(); }
  // Waits before another attempt; returns early with Kind::cancelled.
  Status pause_ms(int milliseconds) const;

 private:
  Result<HttpResponse> send(HttpClient& http, HttpRequest request);
  Result<HttpResponse> send_to_base(HttpClient& http, HttpRequest& request, const std::string& path_and_query);
  Result<std::string> authorize(HttpClient& http, const HttpResponse& unauthorized);
  Result<std::string> fetch_token(HttpClient& http, const std::string& realm, const std::string& service,
                                  const std::string& scope);
  bool may_send_credentials() const;

  Endpoint endpoint_;
  HostCertificates certificates_;
  Credentials credentials_;
  const std::atomic<bool>* cancelled_;
  std::mutex mutex_;                // guards the two below
  std::string authorization_;       // header value that worked last
  std::vector<std::string> bases_;  // "https://host", "http://host": those still to be tried, best first
};

// `selector` is a tag or digest. The text is verified against a digest selector.
Result<FetchedManifest> fetch_manifest(RegistrySession& session, HttpClient& http, const std::string& selector);

// Streams a blob into `sink` in order, resuming with Range after a broken connection. The caller verifies
// the digest. Errors: not_found, denied, unavailable, timed_out, cancelled, the sink's own.
Status fetch_blob(RegistrySession& session, HttpClient& http, const std::string& digest, std::uint64_t size,
                  const std::function<Status(std::string_view)>& sink);

}  // namespace husk::images
