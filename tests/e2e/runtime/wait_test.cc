// husk wait: the exit code of a container whose parent is not husk wait.
#include <signal.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// `husk wait` that has begun: its output arrives in the pipe.
struct Waiter {
  Child child;
  UniqueFd out;
};

Waiter begin_wait(Bench& bench, const std::string& id) {
  auto out = sys::pipe2();
  REQUIRE_OK(out);
  auto child = bench.start({"wait", id}, {{.from = out.value().write_end.get(), .target = 1}});
  return {.child = std::move(child), .out = std::move(out.value().read_end)};
}

// It sleeps in poll(2) on a pidfd: begun, and not busy.
void until_it_sleeps(const Waiter& waiter) {
  const auto path = "/proc/" + std::to_string(waiter.child.pid());
  std::vector<sys::PollEntry> nothing;
  for (int i = 0; i < 20000; ++i) {
    const auto command = read_file(path + "/cmdline");
    const auto call = read_file(path + "/wchan");
    if (command.has_value() && call.has_value() && contains(command.value(), "husk") && contains(command.value(), "wait") &&
        contains(call.value(), "poll"))
      return;
    REQUIRE_OK(sys::poll(nothing, 1));
  }
  FAIL("husk wait does not wait");
}

}  // namespace

TEST_CASE("wait prints the exit code of a running container and exits with it, whoever reaps it") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  REQUIRE(bench.husk({"run", "-d", "-b", bench.shell_bundle("trap 'exit 42' TERM; while :; do sleep 0.01; done"), id}).status.code == 0);
  auto waiter = begin_wait(bench, id);
  until_it_sleeps(waiter);
  REQUIRE(bench.husk({"kill", id}).status.code == 0);
  CHECK(waiter.child.wait().value().code == 42);
  CHECK(read_all(waiter.out.get()).value() == "42\n");
  // The answer is kept for those who come later.
  const auto later = bench.husk({"wait", id});
  CHECK(later.out == "42\n");
  CHECK(later.status.code == 42);
  CHECK(bench.husk({"delete", id}).status.code == 0);
  CHECK(contains(bench.husk({"wait", id}).err, "does not exist"));
}

TEST_CASE("wait says 128 and the signal, also when the container is deleted by force meanwhile") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/sleep", "1000"}), id}).status.code == 0);
  auto waiter = begin_wait(bench, id);
  until_it_sleeps(waiter);
  REQUIRE(bench.husk({"start", id}).status.code == 0);
  REQUIRE(bench.husk({"delete", "--force", id}).status.code == 0);
  CHECK(waiter.child.wait().value().code == 128 + SIGKILL);
}

TEST_CASE("wait beside a run in the foreground: both have the exit code") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  const auto door = bench.path("door");
  const auto done = bench.shell("mkfifo " + door + "; husk run --keep -b " + bench.shell_bundle("read word; exit 9") + " " + id +
                                " <" + door + " & run=$!; exec 3>" + door + "; " +
                                "until husk state " + id + " 2>/dev/null | grep -q running; do :; done; " +
                                "husk wait " + id + " & wait=$!; echo go >&3; wait $wait; echo code $?; wait $run; echo run $?");
  CHECK_MESSAGE(done.out == "9\ncode 9\nrun 9\n", done.err);
}

TEST_CASE("run --keep writes the exit code down; where nobody did, wait says so and prints nothing") {
  REQUIRE_E2E();
  Bench bench;
  const auto kept = bench.id("k");
  REQUIRE(bench.husk({"run", "--keep", "-b", bench.shell_bundle("exit 3"), kept}).status.code == 3);
  CHECK(bench.husk({"wait", kept}).status.code == 3);
  const auto lost = bench.id("l");
  REQUIRE(bench.husk({"run", "-d", "-b", bench.shell_bundle("exit 4"), lost}).status.code == 0);
  bench.shell("while husk state " + lost + " | grep -q running; do :; done; pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' " +
              bench.root() + "/" + lost + "/state.json); while [ -d /proc/$pid ]; do :; done");
  const auto done = bench.husk({"wait", lost});
  CHECK(done.status.code == 1);
  CHECK(done.out.empty());
  CHECK(contains(done.err, "exit code was not kept"));
}
