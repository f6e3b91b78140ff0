// --log journald:ID and syslog:ID, with a socket of the test where the collector's would be.
#include <sys/socket.h>
#include <sys/un.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

UniqueFd collector(const std::string& path) {
  auto socket = sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  REQUIRE_OK(socket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.copy(address.sun_path, sizeof address.sun_path - 1) == path.size());
  REQUIRE(::bind(socket.value().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return std::move(socket).value();
}

// `husk start nobody` where `directory` of the host is empty but for a link to our socket.
Output start_nobody(const std::string& target, const std::string& directory, const std::string& name, const std::string& socket) {
  const auto script = "mount -t tmpfs t " + directory + " && mkdir -p $(dirname " + name + ") && ln -s " + socket + " " + name +
                      " && exec " + husk_binary() + " --root /tmp/husk-none --log " + target + " start nobody";
  const auto done = run({.path = "/usr/bin/unshare", .arguments = {"unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", script}});
  REQUIRE_OK(done);
  return done.value();
}

std::string received(const UniqueFd& socket) {
  std::array<char, 4096> block{};
  const auto got = sys::read_some(socket.get(), block);
  REQUIRE_OK(got);
  return {block.data(), got.value()};
}

}  // namespace

TEST_CASE("--log journald:ID sends the error to the journal with the id, and to standard error") {
  REQUIRE_E2E();
  const TempDir dir;
  const auto socket = collector(dir / "s");
  const auto done = start_nobody("journald:web", "/run", "/run/systemd/journal/socket", dir / "s");
  CHECK(done.status.code == 1);
  CHECK(contains(done.err, "does not exist"));
  const auto entry = received(socket);
  CHECK(contains(entry, "MESSAGE=start nobody: container \"nobody\" does not exist\n"));
  CHECK(contains(entry, "PRIORITY=3\n"));
  CHECK(contains(entry, "\nID=web\n"));
}

TEST_CASE("--log syslog:ID sends the error to /dev/log under the id") {
  REQUIRE_E2E();
  const TempDir dir;
  const auto socket = collector(dir / "s");
  const auto done = start_nobody("syslog:web", "/dev", "/dev/log", dir / "s");
  CHECK(contains(done.err, "does not exist"));
  const auto entry = received(socket);
  CHECK(entry.starts_with("<11>"));
  CHECK(contains(entry, " web["));
  CHECK(entry.ends_with("]: start nobody: container \"nobody\" does not exist"));
}

TEST_CASE("--log: a collector that is not there, and a target without an id, are errors") {
  REQUIRE_E2E();
  const auto absent = start_nobody("journald:web", "/run", "/run/systemd/journal/socket", "/nonexistent");
  CHECK(absent.status.code == 1);
  CHECK(contains(absent.err, "open log"));
  CHECK(contains(absent.err, "--log file:PATH"));
  Bench bench;
  for (const std::string target : {"journald:", "syslog:", "syslog:a\nb"})
    CHECK(contains(bench.husk({"--log", target, "list"}).err, "needs an id"));
  CHECK(bench.husk({"--log", "file:" + bench.log(), "state", "nobody"}).status.code == 1);
  CHECK(contains(read_file(bench.log()).value(), "does not exist"));
}
