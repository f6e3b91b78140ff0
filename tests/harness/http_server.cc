#include "harness/http_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "harness/harness.h"

namespace husk::test {

std::string HttpSeen::header(const std::string& name) const {
  for (const auto line : split(head, '\n')) {
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && to_lower(line.substr(0, colon)) == to_lower(name))
      return std::string{trim(line.substr(colon + 1))};
  }
  return {};
}

HttpServer::HttpServer(Handler handler) : handler_{std::move(handler)} {
  auto socket = sys::socket(AF_INET, SOCK_STREAM);
  REQUIRE_OK(socket);
  listener_ = std::move(socket).value();
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof local;
  REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&local), size) == 0);
  REQUIRE(::listen(listener_.get(), 64) == 0);
  REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&local), &size) == 0);
  address_ = format_text("127.0.0.1:{}", ntohs(local.sin_port));
  thread_ = std::thread{[this] { serve(); }};
}

HttpServer::~HttpServer() {
  (void)::shutdown(listener_.get(), SHUT_RDWR);  // ends accept()
  thread_.join();
}

std::vector<HttpSeen> HttpServer::seen() {
  const std::lock_guard lock{mutex_};
  return seen_;
}

void HttpServer::serve() {
  for (;;) {
    auto connection = sys::accept(listener_.get());
    if (!connection.has_value()) return;
    std::string text;
    std::array<char, 4096> block;  // NOLINT: filled by read
    while (text.find("\r\n\r\n") == std::string::npos) {
      const auto got = sys::read_some(connection.value().get(), block);
      if (!got.has_value() || got.value() == 0) break;
      text.append(block.data(), got.value());
    }
    const auto words = split(std::string_view{text}.substr(0, text.find('\r')), ' ');
    if (words.size() < 2) continue;
    HttpSeen request{.method = std::string{words[0]}, .path = std::string{words[1]}, .head = text};
    {
      const std::lock_guard lock{mutex_};
      seen_.push_back(request);
    }
    (void)sys::send_message(connection.value().get(), handler_(request));  // the client may be gone
    (void)::shutdown(connection.value().get(), SHUT_WR);
  }
}

std::string http_reply(int status, const std::string& body, const std::vector<std::string>& headers) {
  auto text = format_text("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", status, body.size());
  for (const auto& header : headers) text += header + "\r\n";
  return text + "\r\n" + body;
}

}  // namespace husk::test
