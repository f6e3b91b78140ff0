#include "images/registry/client.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "images/registry/challenge.h"
#include "oci-spec/json.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxManifest = 4U << 20U;  // distribution-spec: registries take at least this
constexpr std::size_t kMaxToken = 1U << 20U;
constexpr int kMaxAttempts = 5;
constexpr int kFirstPauseMs = 100;
constexpr int kMaxPauseMs = 30'000;

constexpr std::array kManifestTypes{
    "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"};

std::string base64(std::string_view text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += format_text("%{:02X}", byte);
    }
  }
  return out;
}

// The registry's own words: {"errors":[{"code":…,"message":…}]}, else the beginning of the page.
std::string reason_of(const HttpResponse& response) {
  const auto json = oci::parse_json(response.body, {.max_bytes = 65536, .max_depth = 16});
  if (json.has_value()) {
    const auto errors = oci::JsonReader{json.value()}.find("errors");
    if (errors.has_value() && errors->json().as_array() != nullptr && !errors->json().as_array()->empty()) {
      const auto& first = errors->json().as_array()->front();
      std::string text;
      for (const auto* key : {"code", "message"})
        if (const auto* part = first.find(key); part != nullptr && part->is_string())
          text += (text.empty() ? "" : ": ") + *part->as_string();
      if (!text.empty()) return quote(text);
    }
  }
  return quote(trim(std::string_view{response.body}.substr(0, 200)));
}

Error status_error(const HttpResponse& response, const std::string& what) {
  const auto text = format_text("{}: HTTP status {} {}", what, response.status, reason_of(response));
  switch (response.status) {
    case 401:
    case 403:
      return Error{Kind::denied, text}.hint("the repository may be private: give credentials that may pull it");
    case 404: return Error{Kind::not_found, text};
    case 429: return Error{Kind::unavailable, text}.hint("the registry limits requests: try again later");
    default: return Error{response.status >= 500 ? Kind::unavailable : Kind::internal, text};
  }
}

Error unanswered(Error error) {
  if (error.kind() != Kind::unavailable) return error;
  return std::move(error).hint("check the registry's name and the network; a mirror or proxy may help");
}

bool worth_retrying(const Result<HttpResponse>& response) {
  if (!response.has_value())
    return response.error().kind() == Kind::unavailable || response.error().kind() == Kind::timed_out;
  return response.value().status == 429 || response.value().status == 408 || response.value().status >= 500;
}

int pause_before(int attempt, const Result<HttpResponse>& response) {
  if (response.has_value())
    if (const auto seconds = parse_uint32(response.value().header("retry-after")); seconds.has_value())
      return static_cast<int>(std::min<std::uint32_t>(seconds.value(), kMaxPauseMs / 1000) * 1000);
  return std::min(kFirstPauseMs << attempt, kMaxPauseMs);
}

}  // namespace

RegistrySession::RegistrySession(Endpoint endpoint, HostCertificates certificates, Credentials credentials,
                                 const std::atomic<bool>* cancelled)
    : endpoint_{std::move(endpoint)},
      certificates_{std::move(certificates)},
      credentials_{std::move(credentials)},
      cancelled_{cancelled} {
  // HTTPS is the rule. Plain HTTP is for "insecure" hosts and for loopback without certificates of its own.
  const auto https = "https://" + endpoint_.host;
  const auto http = "http://" + endpoint_.host;
  if (endpoint_.insecure) {
    certificates_.tls.verify = false;
    bases_ = {https, http};
  } else if (is_loopback_host(endpoint_.host) && !certificates_.found) {
    bases_ = {http, https};
  } else {
    bases_ = {https};
  }
  if (!credentials_.registry_token.empty() && may_send_credentials())
    authorization_ = "Bearer " + credentials_.registry_token;
}

bool RegistrySession::may_send_credentials() const {
  if (credentials_.server_address.empty()) return true;
  std::string_view server = credentials_.server_address;
  if (const auto scheme = server.find("://"); scheme != std::string_view::npos) server.remove_prefix(scheme + 3);
  server = server.substr(0, server.find('/'));
  const bool hub = server == "docker.io" || server == "index.docker.io";
  return server == endpoint_.host || (hub && endpoint_.host == "registry-1.docker.io");
}

Status RegistrySession::pause_ms(int milliseconds) const {
  constexpr int kStep = 50;  // how soon a cancelled pull gives up
  for (int waited = 0; waited < milliseconds; waited += kStep) {
    if (is_cancelled()) return Error{Kind::cancelled, "pull was cancelled"};
    std::vector<sys::PollEntry> none;
    TRY(sys::poll(none, std::min(kStep, milliseconds - waited)));
  }
  return ok();
}

// A host that may speak HTTP or HTTPS is asked in both ways until one answers; the answer is remembered.
Result<HttpResponse> RegistrySession::send_to_base(HttpClient& http, HttpRequest& request, const std::string& path) {
  std::vector<std::string> bases;
  {
    const std::lock_guard lock{mutex_};
    bases = bases_;
  }
  for (std::size_t i = 0;; ++i) {
    request.url = bases[i] + path;
    HttpRequest watched = request;  // a body that broke off was an answer: not the wrong scheme
    bool answered = false;
    if (request.sink)
      watched.sink = [&](const HttpResponse& head, std::string_view block) {
        answered = true;
        return request.sink(head, block);
      };
    auto response = http.send(watched);
    // A TLS server answers plain HTTP with status 400 (Go's net/http and nginx do).
    const bool wrong_scheme = response.has_value() ? response.value().status == 400 && bases[i].starts_with("http:")
                                                   : response.error().kind() == Kind::unavailable;
    if (wrong_scheme && !answered && i + 1 < bases.size()) continue;
    if (response.has_value() || answered) {
      const std::lock_guard lock{mutex_};
      bases_ = {bases[i]};
    }
    return response;
  }
}

Result<HttpResponse> RegistrySession::get(HttpClient& http, const std::string& rest,
                                          const std::vector<std::string>& headers, std::size_t max_body,
                                          BodySink sink) {
  HttpRequest request;
  request.headers = headers;
  request.max_body = max_body;
  request.sink = std::move(sink);
  request.tls = certificates_.tls;
  request.cancelled = cancelled_;
  const auto path = format_text("/v2/{}/{}", endpoint_.path, rest);
  {
    const std::lock_guard lock{mutex_};
    request.authorization = authorization_;
  }
  auto response = TRY(send_to_base(http, request, path));
  if (response.status != 401) return response;
  request.authorization = TRY(authorize(http, response));
  if (request.authorization.empty()) return response;
  return send_to_base(http, request, path);
}

// Answers a 401: the header value to try, "" when there is nothing to offer.
Result<std::string> RegistrySession::authorize(HttpClient& http, const HttpResponse& unauthorized) {
  std::string value;
  const bool has_password = !credentials_.username.empty() && may_send_credentials();
  for (const auto& [name, header] : unauthorized.headers) {
    if (name != "www-authenticate") continue;
    for (const auto& challenge : parse_challenges(header)) {
      if (challenge.scheme == "bearer" && value.empty()) {
        auto scope = challenge.parameter("scope");
        if (scope.empty()) scope = format_text("repository:{}:pull", endpoint_.path);
        value = "Bearer " + TRY(fetch_token(http, challenge.parameter("realm"), challenge.parameter("service"), scope)
                                    .during("authenticate"));
      } else if (challenge.scheme == "basic" && value.empty() && has_password) {
        value = "Basic " + base64(credentials_.username + ":" + credentials_.password);
      }
    }
  }
  const std::lock_guard lock{mutex_};
  authorization_ = value;
  return value;
}

Result<std::string> RegistrySession::fetch_token(HttpClient& http, const std::string& realm, const std::string& service,
                                                 const std::string& scope) {
  const auto origin = origin_of(realm);
  if (origin.empty()) return Error{Kind::invalid, format_text("the token realm {} is no URL", quote(realm))};
  const bool secure = origin.starts_with("https://") || endpoint_.insecure ||
                      is_loopback_host(origin.substr(origin.find("//") + 2));
  if (!secure) return Error{Kind::denied, format_text("the token realm {} is not HTTPS", quote(realm))};
  HttpRequest request;
  request.max_body = kMaxToken;
  request.tls = certificates_.tls;
  request.cancelled = cancelled_;
  request.url = realm;
  const bool with_identity = !credentials_.identity_token.empty() && may_send_credentials();
  if (with_identity) {  // OAuth2: a refresh token goes by POST
    request.method = "POST";
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body = format_text("grant_type=refresh_token&service={}&client_id=husk&scope={}&refresh_token={}",
                               percent_encode(service), percent_encode(scope),
                               percent_encode(credentials_.identity_token));
  } else {
    request.url += format_text("{}service={}&scope={}", realm.contains('?') ? "&" : "?", percent_encode(service),
                               percent_encode(scope));
    if (!credentials_.username.empty() && may_send_credentials())
      request.authorization = "Basic " + base64(credentials_.username + ":" + credentials_.password);
  }
  const auto response = TRY(http.send(request));
  if (response.status != 200) return status_error(response, format_text("token request to {}", origin));
  const auto json = TRY(oci::parse_json(response.body, {.max_bytes = kMaxToken, .max_depth = 16}));
  for (const auto* key : {"token", "access_token"})
    if (const auto* token = json.find(key); token != nullptr && token->is_string() && !token->as_string()->empty()) {
      if (token->as_string()->find_first_of("\r\n") != std::string::npos)
        return Error{Kind::invalid, format_text("the token of {} has a line break", origin)};
      return *token->as_string();
    }
  return Error{Kind::invalid, format_text("the token reply of {} has no token", origin)};
}

Result<FetchedManifest> fetch_manifest(RegistrySession& session, HttpClient& http, const std::string& selector) {
  std::string accept = "Accept: ";
  for (const auto* type : kManifestTypes) accept += std::string{type} + (type == kManifestTypes.back() ? "" : ", ");
  const auto what = format_text("manifest {} of {}/{}", selector, session.endpoint().host, session.endpoint().path);
  for (int attempt = 0;; ++attempt) {
    auto response = session.get(http, "manifests/" + selector, {accept}, kMaxManifest, nullptr);
    if (response.has_value() && response.value().status == 200) {
      const auto type = response.value().header("content-type");
      return FetchedManifest{.media_type = std::string{trim(type.substr(0, type.find(';')))},
                             .text = std::move(response.value().body)};
    }
    if (!worth_retrying(response) || attempt + 1 >= kMaxAttempts || session.endpoint().is_mirror) {
      if (!response.has_value()) return unanswered(std::move(response).error().during(what));
      auto error = status_error(response.value(), what);
      if (error.kind() != Kind::not_found) return error;
      return std::move(error).hint("the registry has no such image or tag, or hides it: check the spelling, or log in");
    }
    TRY(session.pause_ms(pause_before(attempt, response)));
  }
}

namespace {

// Where the body of a reply begins in the blob: 206 tells it, 200 is the whole. nullopt: a reply that
// cannot be used.
std::optional<std::uint64_t> body_offset(const HttpResponse& response) {
  if (response.status == 200) return 0;
  const auto range = response.header("content-range");  // "bytes 100-199/200"
  if (response.status != 206 || !range.starts_with("bytes ")) return std::nullopt;
  const auto begin = parse_uint64(std::string_view{range}.substr(6, range.find('-') - 6));
  if (!begin.has_value()) return std::nullopt;
  return begin.value();
}

}  // namespace

Status fetch_blob(RegistrySession& session, HttpClient& http, const std::string& digest, std::uint64_t size,
                  const std::function<Status(std::string_view)>& sink) {
  const auto what = format_text("blob {} of {}/{}", digest, session.endpoint().host, session.endpoint().path);
  std::uint64_t done = 0;  // bytes given to the sink
  int attempt = 0;
  for (;;) {
    const std::uint64_t done_before = done;
    std::optional<std::uint64_t> at;  // where the next block begins in the blob
    const auto take = [&](const HttpResponse& head, std::string_view block) -> Status {
      if (!at.has_value()) at = body_offset(head);
      if (!at.has_value() || *at > done) return Error{Kind::invalid, what + ": the registry sent a wrong Content-Range"};
      const auto old = std::min<std::uint64_t>(done - *at, block.size());  // a registry that ignores Range
      *at += block.size();
      block.remove_prefix(old);
      if (done + block.size() > size)
        return Error{Kind::invalid, format_text("{} is larger than its descriptor says ({} bytes)", what, size)};
      done += block.size();
      return block.empty() ? ok() : sink(block);
    };
    std::vector<std::string> headers;
    if (done > 0) headers.push_back(format_text("Range: bytes={}-", done));
    auto response = session.get(http, "blobs/" + digest, headers, 0, take);
    if (response.has_value() && response.value().status / 100 == 2 && done == size) return ok();
    if (session.is_cancelled()) return Error{Kind::cancelled, "pull was cancelled"};
    attempt = done > done_before ? 0 : attempt + 1;  // progress: the peer is alive
    const bool short_body = response.has_value() && response.value().status / 100 == 2;
    if ((!worth_retrying(response) && !short_body) || attempt >= kMaxAttempts) {
      if (!response.has_value()) return std::move(response).error().during(what);
      if (!short_body) return status_error(response.value(), what);
      return Error{Kind::unavailable, format_text("{} ended after {} of {} bytes", what, done, size)};
    }
    TRY(session.pause_ms(pause_before(attempt, response)));
  }
}

}  // namespace husk::images
