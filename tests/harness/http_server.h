// A tiny HTTP/1.1 server on loopback for tests that inject faults: each connection carries one request,
// the handler returns the raw bytes of the reply. Not for anything else.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace husk::test {

struct HttpSeen {
  std::string method;
  std::string path;     // with query
  std::string head;     // the whole request head, names as sent
  std::string header(const std::string& name) const;  // "" when absent; name in any case
};

class HttpServer {
 public:
  using Handler = std::function<std::string(const HttpSeen&)>;
  explicit HttpServer(Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  const std::string& address() const { return address_; }  // "127.0.0.1:40000"
  std::vector<HttpSeen> seen();

 private:
  void serve();
  UniqueFd listener_;
  std::string address_;
  Handler handler_;
  std::mutex mutex_;
  std::vector<HttpSeen> seen_;
  std::thread thread_;
};

// "HTTP/1.1 200 OK" with a body and more header lines ("Name: value").
std::string http_reply(int status, const std::string& body, const std::vector<std::string>& headers = {});

}  // namespace husk::test
