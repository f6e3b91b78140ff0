// Challenges, registries.conf, certificates and credentials: everything of images/registry that needs
// no network.
#include "images/registry/auth_file.h"
#include "images/registry/challenge.h"
#include "images/registry/registries_conf.h"

#include "harness/harness.h"

namespace husk::images {
namespace {

void put(const std::string& path, const std::string& text) {
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
}

Reference reference(const std::string& text) {
  auto parsed = parse_reference(text);
  REQUIRE_OK(parsed);
  return parsed.value();
}

}  // namespace

TEST_CASE("RFC 9110 section 11.6.1: several challenges in one header, with quoted strings") {
  const auto challenges = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="reg, \"one\"" ,scope=repository:a:pull, Basic realm=x)");
  REQUIRE(challenges.size() == 2);
  CHECK(challenges[0].scheme == "bearer");
  CHECK(challenges[0].parameter("realm") == "https://auth.example/token");
  CHECK(challenges[0].parameter("service") == "reg, \"one\"");
  CHECK(challenges[0].parameter("scope") == "repository:a:pull");
  CHECK(challenges[1].scheme == "basic");
  CHECK(challenges[1].parameter("none").empty());
}

TEST_CASE("hostile challenge headers end and give nothing usable") {
  for (const std::string text : {"", ",,,", "\"", "=", "Bearer realm=\"unterminated", "====\"\"\"", "a=b"}) {
    CAPTURE(text);
    for (const auto& challenge : parse_challenges(text)) CHECK(challenge.scheme == "bearer");
  }
}

TEST_CASE("registries.conf: mirrors come in order, then the registry itself") {
  const test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "d"));
  put(directory / "registries.conf", R"(
[[registry]]
prefix = "docker.io/library"
location = "mirror.example/hub"
[[registry.mirror]]
location = "127.0.0.1:5000/cache"
insecure = true
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
)");
  const auto conf = RegistriesConf::load(directory / "registries.conf", directory / "d");
  REQUIRE_OK(conf);
  const auto endpoints = conf.value().endpoints(reference("busybox"));
  REQUIRE_OK(endpoints);
  REQUIRE(endpoints.value().size() == 2);
  CHECK(endpoints.value()[0].host == "127.0.0.1:5000");
  CHECK(endpoints.value()[0].path == "cache/busybox");
  CHECK(endpoints.value()[0].insecure);
  CHECK(endpoints.value()[0].is_mirror);
  CHECK(endpoints.value()[1].host == "mirror.example");
  CHECK(endpoints.value()[1].path == "hub/busybox");
  CHECK_FALSE(endpoints.value()[1].insecure);
}

TEST_CASE("registries.conf: the longest prefix wins, whole components only, drop-ins replace") {
  const test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "d"));
  put(directory / "registries.conf", "[[registry]]\nprefix='r.example'\nlocation='a.example'\n"
                                     "[[registry]]\nprefix='r.example/deep'\nblocked=true\n"
                                     "[[registry]]\nprefix='*.wild.example'\ninsecure=true\n");
  put(directory / "d/10.conf", "[[registry]]\nprefix='r.example'\nlocation='b.example/x'\n");
  put(directory / "d/ignored.txt", "nonsense");
  const auto conf = RegistriesConf::load(directory / "registries.conf", directory / "d");
  REQUIRE_OK(conf);
  CHECK(conf.value().endpoints(reference("r.example/app")).value()[0].host == "b.example");
  CHECK(conf.value().endpoints(reference("r.example/app")).value()[0].path == "x/app");
  CHECK(conf.value().endpoints(reference("r.example/deeper/app")).value()[0].host == "b.example");
  const auto blocked = conf.value().endpoints(reference("r.example/deep/app"));
  REQUIRE_FALSE(blocked.has_value());
  CHECK(blocked.error().kind() == Kind::denied);
  CHECK(conf.value().endpoints(reference("a.wild.example/app")).value()[0].insecure);
  CHECK(conf.value().endpoints(reference("busybox")).value()[0].host == "registry-1.docker.io");
}

TEST_CASE("a broken registries.conf names file and line") {
  const test::TempDir directory;
  put(directory / "registries.conf", "[[registry]]\nprefix='a.example'\ninsecure='yes'\n");
  const auto conf = RegistriesConf::load(directory / "registries.conf", "");
  REQUIRE_FALSE(conf.has_value());
  CHECK(conf.error().to_string().find("registries.conf:3: insecure must be true or false") != std::string::npos);
}

TEST_CASE("certificates of a host come from the first directory that has it; a lone .cert is an error") {
  const test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "one/host:5000"));
  put(directory / "one/host:5000/ca.crt", "PEM");
  const auto found = load_certificates({directory / "none", directory / "one"}, "host:5000");
  REQUIRE_OK(found);
  CHECK(found.value().found);
  CHECK(found.value().tls.ca_pem == "PEM\n");
  CHECK_FALSE(load_certificates({directory / "one"}, "host").value().found);
  put(directory / "one/host:5000/client.cert", "PEM");
  CHECK_FALSE(load_certificates({directory / "one"}, "host:5000").has_value());
}

TEST_CASE("containers-auth.json: the most specific entry wins; Docker's key stands for docker.io") {
  const test::TempDir directory;
  put(directory / "auth.json", R"({"auths":{"r.example":{"auth":"dTpw"},"r.example/team":{"auth":"dGVhbTpzZWNyZXQ="},
      "https://index.docker.io/v1/":{"identitytoken":"idt"}}})");
  const std::vector<std::string> files{directory / "absent.json", directory / "auth.json"};
  CHECK(find_credentials(files, reference("r.example/team/app")).value()->username == "team");
  CHECK(find_credentials(files, reference("r.example/team/app")).value()->password == "secret");
  CHECK(find_credentials(files, reference("r.example/other")).value()->username == "u");
  CHECK(find_credentials(files, reference("busybox")).value()->identity_token == "idt");
  CHECK_FALSE(find_credentials(files, reference("other.example/app")).value().has_value());
}

TEST_CASE("loopback hosts are recognised by number, not by prefix") {
  CHECK(is_loopback_host("127.0.0.1:5000"));
  CHECK(is_loopback_host("localhost"));
  CHECK(is_loopback_host("[::1]:80"));
  CHECK_FALSE(is_loopback_host("127.evil.example"));
  CHECK_FALSE(is_loopback_host("127.0.0.1.evil.example"));
  CHECK_FALSE(is_loopback_host("10.0.0.1"));
}

}  // namespace husk::images
