// The registry client against a server that misbehaves.
// Source: distribution-spec spec.md#pull; CVEs of registry clients.
#include "images/registry/client.h"

#include "harness/harness.h"
#include "harness/http_server.h"

namespace husk::images {
namespace {

using test::http_reply;
using test::HttpSeen;
using test::HttpServer;

RegistrySession session_for(const HttpServer& server, Credentials credentials = {},
                            const std::atomic<bool>* cancelled = nullptr) {
  return RegistrySession{{.host = server.address(), .path = "team/app"}, {}, std::move(credentials), cancelled};
}

Result<std::string> blob(const HttpServer& server, std::uint64_t size) {
  auto session = session_for(server);
  HttpClient http;
  std::string text;
  TRY(fetch_blob(session, http, "sha256:x", size, [&](std::string_view block) -> Status {
    text += block;
    return ok();
  }));
  return text;
}

}  // namespace

TEST_CASE("spec.md#pulling-manifests: all manifest types are accepted, the media type comes without parameters") {
  HttpServer server{[](const HttpSeen&) {
    return http_reply(200, "{}", {"Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8"});
  }};
  auto session = session_for(server);
  HttpClient http;
  const auto manifest = fetch_manifest(session, http, "v1");
  REQUIRE_OK(manifest);
  CHECK(manifest.value().media_type == "application/vnd.oci.image.manifest.v1+json");
  CHECK(manifest.value().text == "{}");
  REQUIRE(server.seen().size() == 1);
  CHECK(server.seen()[0].path == "/v2/team/app/manifests/v1");
  CHECK(server.seen()[0].header("accept").find("application/vnd.docker.distribution.manifest.list.v2+json") !=
        std::string::npos);
}

TEST_CASE("a missing manifest is not_found with the registry's own words") {
  HttpServer server{[](const HttpSeen&) {
    return http_reply(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
  }};
  auto session = session_for(server);
  HttpClient http;
  const auto manifest = fetch_manifest(session, http, "v1");
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().kind() == Kind::not_found);
  CHECK(manifest.error().what().find("MANIFEST_UNKNOWN: manifest unknown") != std::string::npos);
  CHECK(manifest.error().hint_text().find("check the spelling") != std::string::npos);
}

TEST_CASE("a manifest beyond 4 MiB is refused, not held in memory") {
  HttpServer server{[](const HttpSeen&) { return http_reply(200, std::string(5U << 20U, 'x')); }};
  auto session = session_for(server);
  HttpClient http;
  const auto manifest = fetch_manifest(session, http, "v1");
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().kind() == Kind::invalid);
}

TEST_CASE("429 and 503 are tried again, and Retry-After is honoured") {
  int round = 0;
  HttpServer server{[&](const HttpSeen&) {
    ++round;
    if (round == 1) return http_reply(429, "slow down", {"Retry-After: 0"});
    if (round == 2) return http_reply(503, "", {"Retry-After: 0"});
    return http_reply(200, "{}");
  }};
  auto session = session_for(server);
  HttpClient http;
  CHECK_OK(fetch_manifest(session, http, "v1"));
  CHECK(round == 3);
}

TEST_CASE("a broken blob download goes on with Range where it stopped") {
  int round = 0;
  HttpServer server{[&](const HttpSeen& request) {
    ++round;
    if (round == 1) return std::string{"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n0123"};
    CHECK(request.header("range") == "bytes=4-");
    return http_reply(206, "456789", {"Content-Range: bytes 4-9/10"});
  }};
  const auto text = blob(server, 10);
  REQUIRE_OK(text);
  CHECK(text.value() == "0123456789");
  CHECK(round == 2);
}

TEST_CASE("a registry that ignores Range sends everything again, and nothing is doubled") {
  int round = 0;
  HttpServer server{[&](const HttpSeen&) {
    ++round;
    if (round == 1) return std::string{"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n0123"};
    return http_reply(200, "0123456789");
  }};
  const auto text = blob(server, 10);
  REQUIRE_OK(text);
  CHECK(text.value() == "0123456789");
}

TEST_CASE("a wrong Content-Range is an error, not a hole in the file") {
  int round = 0;
  HttpServer server{[&](const HttpSeen&) {
    ++round;
    if (round == 1) return std::string{"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n0123"};
    return http_reply(206, "89", {"Content-Range: bytes 8-9/10"});
  }};
  const auto text = blob(server, 10);
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().kind() == Kind::invalid);
}

TEST_CASE("a blob larger than its descriptor is cut off with an error") {
  HttpServer server{[](const HttpSeen&) { return http_reply(200, std::string(1000, 'x')); }};
  const auto text = blob(server, 10);
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().what().find("larger than its descriptor") != std::string::npos);
}

TEST_CASE("CVE-2020-15157: a redirect to another host does not carry the credentials along") {
  HttpServer elsewhere{[](const HttpSeen&) { return http_reply(200, "0123456789"); }};
  HttpServer server{[&](const HttpSeen&) {
    return http_reply(307, "", {"Location: http://" + elsewhere.address() + "/blob"});
  }};
  auto session = session_for(server, {.registry_token = "secret"});
  HttpClient http;
  CHECK_OK(fetch_blob(session, http, "sha256:x", 10, [](std::string_view) { return ok(); }));
  REQUIRE(server.seen().size() == 1);
  CHECK(server.seen()[0].header("authorization") == "Bearer secret");
  REQUIRE(elsewhere.seen().size() == 1);
  CHECK(elsewhere.seen()[0].header("authorization").empty());
}

TEST_CASE("endless redirects end with an error") {
  HttpServer server{[](const HttpSeen&) { return http_reply(302, "", {"Location: /v2/again"}); }};
  auto session = session_for(server);
  HttpClient http;
  const auto manifest = fetch_manifest(session, http, "v1");
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().what().find("redirects more than") != std::string::npos);
}

TEST_CASE("Bearer: a token is fetched once with the challenge's service and scope, and used again") {
  std::string address;
  HttpServer server{[&](const HttpSeen& request) {
    if (request.path.starts_with("/token")) {
      CHECK(request.path.find("service=reg") != std::string::npos);
      CHECK(request.path.find("scope=repository%3Ateam%2Fapp%3Apull") != std::string::npos);
      CHECK(request.header("authorization") == "Basic dTpw");
      return http_reply(200, R"({"token":"t0k"})");
    }
    if (request.header("authorization") == "Bearer t0k") return http_reply(200, "{}");
    return http_reply(401, "", {"WWW-Authenticate: Bearer realm=\"http://" + address +
                                "/token\",service=\"reg\",scope=\"repository:team/app:pull\""});
  }};
  address = server.address();
  auto session = session_for(server, {.username = "u", .password = "p"});
  HttpClient http;
  CHECK_OK(fetch_manifest(session, http, "v1"));
  CHECK_OK(fetch_manifest(session, http, "v2"));
  int tokens = 0;
  for (const auto& request : server.seen()) tokens += request.path.starts_with("/token") ? 1 : 0;
  CHECK(tokens == 1);
}

TEST_CASE("Basic: the password is sent only after a challenge, and only to its server") {
  HttpServer server{[](const HttpSeen& request) {
    if (request.header("authorization") == "Basic dTpw") return http_reply(200, "{}");
    return http_reply(401, "", {"WWW-Authenticate: Basic realm=x"});
  }};
  HttpClient http;
  auto right = session_for(server, {.username = "u", .password = "p", .server_address = server.address()});
  CHECK_OK(fetch_manifest(right, http, "v1"));
  auto other = session_for(server, {.username = "u", .password = "p", .server_address = "other.example"});
  const auto refused = fetch_manifest(other, http, "v1");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind() == Kind::denied);
  for (const auto& request : server.seen())
    if (&request == &server.seen().front()) CHECK(request.header("authorization").empty());
}

TEST_CASE("a token with a line break is refused: it would add a header of its own") {
  std::string address;
  HttpServer server{[&](const HttpSeen& request) {
    if (request.path.starts_with("/token")) return http_reply(200, "{\"token\":\"a\\r\\nX-Evil: 1\"}");
    return http_reply(401, "", {"WWW-Authenticate: Bearer realm=\"http://" + address + "/token\""});
  }};
  address = server.address();
  auto session = session_for(server);
  HttpClient http;
  const auto manifest = fetch_manifest(session, http, "v1");
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().what().find("line break") != std::string::npos);
}

TEST_CASE("a cancelled pull stops at once, a dead registry is unavailable") {
  std::atomic<bool> cancelled{true};
  HttpServer server{[](const HttpSeen&) { return http_reply(200, "{}"); }};
  auto session = session_for(server, {}, &cancelled);
  HttpClient http;
  const auto stopped = fetch_manifest(session, http, "v1");
  REQUIRE_FALSE(stopped.has_value());
  CHECK(stopped.error().kind() == Kind::cancelled);
  RegistrySession dead{{.host = "127.0.0.1:1", .path = "a", .is_mirror = true}, {}, {}, nullptr};
  const auto refused = fetch_manifest(dead, http, "v1");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind() == Kind::unavailable);
  CHECK(refused.error().hint_text().find("check the registry's name") != std::string::npos);
}

}  // namespace husk::images
