// --pidfd-socket of create, run and exec.
#include <sys/socket.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// The pid that a descriptor stands for. Source: man 2 pidfd_open, /proc/self/fdinfo.
std::string pid_of(const UniqueFd& pidfd) {
  const auto info = read_file("/proc/self/fdinfo/" + std::to_string(pidfd.get()));
  REQUIRE_OK(info);
  for (const auto line : split(info.value(), '\n'))
    if (line.starts_with("Pid:")) return std::string{trim(line.substr(4))};
  return "";
}

UniqueFd take_pidfd(const UniqueFd& listener) {
  auto connection = sys::accept(listener.get());
  REQUIRE_OK(connection);
  auto message = sys::receive_message(connection.value().get(), 64);
  REQUIRE_OK(message);
  REQUIRE(message.value().fds.size() == 1);
  return std::move(message.value().fds.front());
}

}  // namespace

TEST_CASE("--pidfd-socket: create and exec hand out a pidfd of the process that they made") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(make_directories(bench.root()));
  const auto socket = bench.path("pidfd.sock");
  const auto listener = sys::listen_unix(socket, SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listener);
  const auto created = bench.husk({"create", "--pidfd-socket", socket, "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()});
  REQUIRE_MESSAGE(created.status.code == 0, created.err);
  CHECK(pid_of(take_pidfd(listener.value())) == std::to_string(bench.pid(bench.id())));
  REQUIRE(bench.husk({"start", bench.id()}).status.code == 0);
  const auto done = bench.husk({"exec", "-d", "--pidfd-socket=" + socket, "--pid-file", bench.path("pid"), bench.id(), "sleep", "777"});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(pid_of(take_pidfd(listener.value())) == read_file(bench.path("pid")).value());
  CHECK(bench.husk({"run", "-pidfd-socket", socket, "-b", bench.shell_bundle("exit 6"), bench.id("r")}).status.code == 6);
  (void)take_pidfd(listener.value());
}

TEST_CASE("--pidfd-socket: where nobody listens, no program runs and nothing is left") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("x")}).status.code == 0);
  const auto before = bench.world();
  for (const auto& words : {std::vector<std::string>{"create", "-b", bench.bundle({"/bin/true"}), bench.id()},
                            {"run", "-b", bench.shell_bundle("echo ran"), bench.id()},
                            {"exec", bench.id("x"), "echo", "ran"}}) {
    auto all = words;
    all.insert(all.begin() + 1, {"--pidfd-socket", "/nonexistent/socket"});
    const auto done = bench.husk(all);
    CHECK(done.status.code == 1);
    CHECK(done.out.empty());
    CHECK_MESSAGE(contains(done.err, "pidfd socket"), done.err);
    CHECK_WORLD(bench, before);
  }
}
