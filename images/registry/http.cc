#include "images/registry/http.h"

#include <curl/curl.h>
#include <stdlib.h>

#include <array>
#include <mutex>
#include <optional>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr int kMaxRedirects = 10;
constexpr long kConnectTimeoutMs = 10'000;
constexpr long kIdleTimeoutSeconds = 60;
constexpr std::size_t kMaxHeaders = 128;
constexpr std::size_t kMaxErrorBody = 64U << 10U;
constexpr std::array kSystemRoots{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"};

struct FreeUrl {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

Url parse_url(const std::string& text) {
  Url url{::curl_url()};
  if (url == nullptr || ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return nullptr;
  return url;
}

std::string url_part(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string copy{text};
  ::curl_free(text);
  return copy;
}

// `location` may be relative. nullopt: not a URL.
std::optional<std::string> resolve(const std::string& base, const std::string& location) {
  const auto url = parse_url(base);
  if (url == nullptr || ::curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return std::nullopt;
  return url_part(url, CURLUPART_URL);
}

// State of one transfer, given to libcurl's callbacks.
struct Transfer {
  CURL* curl = nullptr;
  const HttpRequest* request = nullptr;
  HttpResponse response;
  std::optional<Error> failure;
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line{data, size * count};
  if (line.starts_with("HTTP/")) {  // a new reply: after "100 Continue" the headers start again
    transfer.response.headers.clear();
    return line.size();
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || transfer.response.headers.size() >= kMaxHeaders) return line.size();
  transfer.response.headers.emplace_back(to_lower(trim(line.substr(0, colon))), std::string{trim(line.substr(colon + 1))});
  return line.size();
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view block{data, size * count};
  (void)::curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &transfer.response.status);
  const bool good = transfer.response.status >= 200 && transfer.response.status < 300;
  if (good && transfer.request->sink) {
    auto taken = transfer.request->sink(transfer.response, block);
    if (!taken.has_value()) {
      transfer.failure = std::move(taken).error();
      return 0;
    }
    return block.size();
  }
  const std::size_t limit = good ? transfer.request->max_body : kMaxErrorBody;
  if (transfer.response.body.size() + block.size() > limit) {
    if (!good) return block.size();  // the beginning of an error page is enough
    transfer.failure = Error{Kind::invalid, format_text("the reply is larger than {} bytes", limit)};
    return 0;
  }
  transfer.response.body += block;
  return block.size();
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(context);
  return transfer.request->cancelled != nullptr && transfer.request->cancelled->load() ? 1 : 0;
}

// The system's roots and the registry's own, as one PEM text.
std::string all_roots(const std::string& own) {
  static const std::string system = [] {
    if (const char* file = ::getenv("SSL_CERT_FILE"); file != nullptr && *file != '\0')
      if (auto text = read_file(file); text.has_value()) return std::move(text).value();
    for (const auto* path : kSystemRoots)
      if (auto text = read_file(path); text.has_value()) return std::move(text).value();
    return std::string{};
  }();
  return own.empty() ? system : own + "\n" + system;
}

void set_tls(CURL* curl, const TlsOptions& tls) {
  (void)::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  (void)::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (const auto roots = all_roots(tls.ca_pem); !roots.empty() && tls.verify) {
    curl_blob blob{.data = const_cast<char*>(roots.data()), .len = roots.size(), .flags = CURL_BLOB_COPY};
    (void)::curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!tls.client_cert.empty()) {
    (void)::curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.client_cert.c_str());
    (void)::curl_easy_setopt(curl, CURLOPT_SSLKEY, tls.client_key.c_str());
  }
}

Error transfer_error(const Transfer& transfer, CURLcode code, const char* text) {
  if (transfer.failure.has_value()) return *transfer.failure;
  const auto what = format_text("{} {}: {}", transfer.request->method, transfer.request->url,
                                *text != '\0' ? text : ::curl_easy_strerror(code));
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK: return Error{Kind::cancelled, format_text("{} {}: cancelled", transfer.request->method, transfer.request->url)};
    case CURLE_OPERATION_TIMEDOUT: return Error{Kind::timed_out, what};
    case CURLE_PEER_FAILED_VERIFICATION:
      return Error{Kind::unavailable, what}.hint(
          "put the registry's CA certificate into /etc/containers/certs.d/HOST:PORT/ca.crt");
    default: return Error{Kind::unavailable, what};
  }
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = nullptr;
  Handle() {
    static std::once_flag once;
    std::call_once(once, [] { (void)::curl_global_init(CURL_GLOBAL_DEFAULT); });
    curl = ::curl_easy_init();
    require(curl != nullptr, "curl_easy_init failed");
  }
  ~Handle() { ::curl_easy_cleanup(curl); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  Result<HttpResponse> send_once(const HttpRequest& request);
};

Result<HttpResponse> HttpClient::Handle::send_once(const HttpRequest& request) {
  ::curl_easy_reset(curl);  // keeps the connections
  Transfer transfer{.curl = curl, .request = &request, .response = {}, .failure = {}};
  std::array<char, CURL_ERROR_SIZE> text{};
  curl_slist* list = nullptr;
  for (const auto& header : request.headers) list = ::curl_slist_append(list, header.c_str());
  if (!request.authorization.empty())
    list = ::curl_slist_append(list, ("Authorization: " + request.authorization).c_str());
  const std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)> headers{list, &::curl_slist_free_all};
  const auto set = [&](CURLoption option, auto value) { (void)::curl_easy_setopt(curl, option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "husk/" HUSK_VERSION);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_ERRORBUFFER, text.data());
  set(CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, kIdleTimeoutSeconds);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, &transfer);
  if (const auto origin = origin_of(request.url); is_loopback_host(origin.substr(origin.find("//") + 2)))
    set(CURLOPT_PROXY, "");  // a proxy cannot reach this machine's loopback
  set_tls(curl, request.tls);
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST") {
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  const auto code = ::curl_easy_perform(curl);
  if (code != CURLE_OK) return transfer_error(transfer, code, text.data());
  (void)::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &transfer.response.status);
  return std::move(transfer.response);
}

std::string HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

HttpClient::HttpClient() : handle_{std::make_unique<Handle>()} {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
  HttpRequest current = request;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    auto response = TRY(handle_->send_once(current));
    const bool redirect = response.status == 301 || response.status == 302 || response.status == 303 ||
                          response.status == 307 || response.status == 308;
    if (!redirect) return response;
    const auto next = resolve(current.url, response.header("location"));
    if (!next.has_value() || response.header("location").empty())
      return Error{Kind::invalid, format_text("{} redirects to {}, which is no URL", current.url, quote(response.header("location")))};
    if (origin_of(*next) != origin_of(current.url)) {
      if (current.url.starts_with("https:") && !next->starts_with("https:"))
        return Error{Kind::denied, format_text("{} redirects from HTTPS to {}", current.url, quote(*next))};
      current.authorization.clear();
      current.tls.client_cert.clear();
    }
    current.url = *next;
    if (response.status == 303) current.method = "GET";
  }
  return Error{Kind::invalid, format_text("{} redirects more than {} times", request.url, kMaxRedirects)};
}

std::string origin_of(const std::string& text) {
  const auto url = parse_url(text);
  if (url == nullptr) return {};
  const auto port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  return url_part(url, CURLUPART_SCHEME) + "://" + url_part(url, CURLUPART_HOST) + ":" + port;
}

bool is_loopback_host(std::string_view host_and_port) {
  if (host_and_port.starts_with("[::1]")) return true;
  const auto host = host_and_port.substr(0, host_and_port.find(':'));
  if (host == "localhost") return true;
  if (!host.starts_with("127.")) return false;
  const auto parts = split(host, '.');
  if (parts.size() != 4) return false;
  for (const auto part : parts) {
    const auto number = parse_uint32(part);
    if (!number.has_value() || number.value() > 255) return false;
  }
  return true;
}

}  // namespace husk::images
