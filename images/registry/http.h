// HTTP requests through libcurl: bounded bodies, streaming sinks, redirects by hand so that an
// Authorization header never reaches another host (CVE-2020-15157).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace husk::images {

struct TlsOptions {
  bool verify = true;
  std::string ca_pem;       // PEM text added to the system's roots
  std::string client_cert;  // PEM file, "" = none
  std::string client_key;
};

struct HttpResponse {
  long status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string header(std::string_view name) const;  // first of that name, "" when absent
};

// Takes the body of a 2xx reply, block by block; `head` has status and headers.
using BodySink = std::function<Status(const HttpResponse& head, std::string_view block)>;

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string authorization;         // value of the header; dropped when a redirect leaves the host
  std::string body;                  // for POST
  std::size_t max_body = 4U << 20U;  // bytes kept in `HttpResponse::body`; more is an error
  BodySink sink;                     // gets the body of a 2xx reply instead
  TlsOptions tls;
  const std::atomic<bool>* cancelled = nullptr;
};

// One connection pool; not thread-safe: one object a thread.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Follows at most ten redirects. Errors: unavailable (no connection, TLS), timed_out (nothing came
  // for a minute), cancelled, what the sink returned. Any HTTP status is a success here.
  Result<HttpResponse> send(const HttpRequest& request);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

// "https://host:5000" of a URL; "" when it is none.
std::string origin_of(const std::string& url);
// localhost, 127.0.0.0/8, ::1 — with or without a port.
bool is_loopback_host(std::string_view host_and_port);

}  // namespace husk::images
