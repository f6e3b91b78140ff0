#include "base/process.h"

#include <dirent.h>
#include <signal.h>

#include "base/clock.h"
#include "harness/harness.h"

namespace husk {
namespace {

SpawnOptions shell(const std::string& script) { return {.path = "/bin/sh", .arguments = {"sh", "-c", script}}; }

std::size_t open_descriptors() {
  const auto dir = sys::openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  return sys::list_dir(dir.value().get()).value().size();
}

TEST_CASE("run collects both streams and the exit code") {
  const auto output = run(shell("echo out; echo err >&2; exit 3"));
  REQUIRE_OK(output);
  CHECK(output.value().out == "out\n");
  CHECK(output.value().err == "err\n");
  CHECK(output.value().status.code == 3);
  CHECK(output.value().status.signal == 0);
  CHECK_FALSE(output.value().status.success());
}

TEST_CASE("an end by signal is 128 + the number") {
  const auto output = run(shell("kill -9 $$"));
  REQUIRE_OK(output);
  CHECK(output.value().status.code == 137);
  CHECK(output.value().status.signal == SIGKILL);
}

TEST_CASE("output beyond the bound is drained, not kept, and does not block the child") {
  const auto output = run(shell("head -c 1000000 /dev/zero"), -1, 1000);
  REQUIRE_OK(output);
  CHECK(output.value().out.size() == 1000);
  CHECK(output.value().status.success());
}

TEST_CASE("a program that does not end in time is killed, and nothing of it stays") {
  const auto before = open_descriptors();
  const auto begin = now_monotonic_ns();
  const auto output = run({.path = "/bin/sleep", .arguments = {"sleep", "1000"}}, 50);
  REQUIRE_FALSE(output.has_value());
  CHECK(output.error().kind() == Kind::timed_out);
  CHECK(now_monotonic_ns() - begin < 10'000'000'000);
  CHECK(open_descriptors() == before);
}

TEST_CASE("a program that cannot be started is an error with its path") {
  const auto output = run({.path = "/nonexistent/program", .arguments = {"x"}});
  REQUIRE_FALSE(output.has_value());
  CHECK(output.error().kind() == Kind::not_found);
  CHECK(test::error_text(output).find("/nonexistent/program") != std::string::npos);
}

TEST_CASE("a child gets none of our descriptors that it was not promised, and /dev/null as input") {
  const auto directory = sys::openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(directory);
  const auto ours = sys::dup_cloexec(directory.value().get(), 700);
  REQUIRE_OK(ours);
  const auto output = run(shell("ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0"));
  REQUIRE_OK(output);
  CHECK(output.value().out.starts_with("0 1 "));
  CHECK(output.value().out.find(format_text(" {} ", ours.value().get())) == std::string::npos);
  CHECK(output.value().out.ends_with(" /dev/null\n"));
}

TEST_CASE("descriptors may swap numbers on their way into the child") {
  auto first = sys::pipe2();
  auto second = sys::pipe2();
  REQUIRE_OK(first);
  REQUIRE_OK(second);
  const int a = first.value().write_end.get();
  const int b = second.value().write_end.get();
  auto options = shell(format_text("echo to-a >&{}; echo to-b >&{}", a, b));
  options.descriptors = {{.from = a, .target = b}, {.from = b, .target = a}};
  auto child = spawn(options);
  REQUIRE_OK(child);
  first.value().write_end.reset();
  second.value().write_end.reset();
  CHECK(read_all(first.value().read_end.get()).value() == "to-b\n");
  CHECK(read_all(second.value().read_end.get()).value() == "to-a\n");
  CHECK(child.value().wait().value().success());
}

TEST_CASE("environment and working directory are what was asked, signals are not blocked") {
  auto options = shell("pwd; env | grep -c . ; echo $A; grep SigBlk /proc/self/status");
  options.environment = {"A=b", "PATH=/usr/bin:/bin"};
  options.working_directory = "/usr";
  const auto output = run(options);
  REQUIRE_OK(output);
  const auto& out = output.value().out;
  CHECK(out.starts_with("/usr\n"));
  CHECK(out.find("\nb\n") != std::string::npos);
  CHECK(out.find("SigBlk:\t0000000000000000") != std::string::npos);
}

TEST_CASE("wait_for tells running from ended, a signal ends it, the descriptor becomes readable") {
  auto child = spawn({.path = "/bin/sleep", .arguments = {"sleep", "1000"}});
  REQUIRE_OK(child);
  CHECK_FALSE(child.value().wait_for(0).value().has_value());
  REQUIRE_OK(child.value().signal(SIGTERM));
  const auto ended = child.value().wait_for(10000);
  REQUIRE_OK(ended);
  REQUIRE(ended.value().has_value());
  CHECK(ended.value()->signal == SIGTERM);
}

TEST_CASE("a child whose owner goes away ends; a released one lives on") {
  pid_t pid = -1;
  {
    auto child = spawn({.path = "/bin/sleep", .arguments = {"sleep", "1000"}});
    REQUIRE_OK(child);
    pid = child.value().pid();
  }
  CHECK(sys::kill(pid, 0).error().kind() == Kind::not_found);
  {
    auto child = spawn({.path = "/bin/sleep", .arguments = {"sleep", "1000"}});
    REQUIRE_OK(child);
    pid = child.value().release();
  }
  CHECK_OK(sys::kill(pid, 0));
  auto adopted = Child::adopt(pid);
  REQUIRE_OK(adopted);
}

TEST_CASE("an argument block ends with a null pointer and keeps empty arguments") {
  const ArgBlock block{{"a", "", "c"}};
  CHECK(std::string{block.get()[0]} == "a");
  CHECK(std::string{block.get()[1]}.empty());
  CHECK(block.get()[3] == nullptr);
}

}  // namespace
}  // namespace husk
