// Checkpoint and restore of containers with a terminal of their own, and of those that use the caller's.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "frozen.h"
#include "terminal.h"

namespace husk::test {
namespace {

// A terminal of this test: both ends.
struct Terminal {
  Terminal() {
    auto opened = sys::openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY);
    REQUIRE_OK(opened);
    master = std::move(opened).value();
    int unlock = 0;
    REQUIRE_OK(sys::ioctl(master.get(), TIOCSPTLCK, &unlock, "TIOCSPTLCK"));
    slave = UniqueFd{::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)};
    REQUIRE(slave.is_open());
  }
  UniqueFd master;
  UniqueFd slave;
};

// Reads until the text was there; an end of the terminal is a failure.
bool shows(const UniqueFd& master, const std::string& wanted) {
  std::string text;
  std::array<char, 4096> block{};
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = master.get(), .events = POLLIN}};
    if (sys::poll(entries, 20'000).value() == 0) return false;
    const auto got = sys::read_some(master.get(), block);
    if (!got.has_value() || got.value() == 0) return false;
    text.append(block.data(), got.value());
    if (contains(text, wanted)) return true;
  }
}

void write_line(const UniqueFd& master, const std::string& line) { REQUIRE_OK(sys::write_all(master.get(), line + "\n")); }

void with_tmp_and_terminal(oci::Spec& spec) {
  with_tmp(spec);
  with_terminal(spec);
}

constexpr const char* kEcho = "tty; while read line; do echo \"got $line $(stty size)\"; done";

TEST_CASE("checkpoint, restore --console-socket: the terminal goes to the socket, with its size, and the shell reads on") {
  REQUIRE_CRIU();
  Bench bench;
  const auto console = bench.path("console");
  const auto listening = sys::listen_unix(console, SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listening);
  const auto bundle = bench.shell_bundle(kEcho, with_tmp_and_terminal);
  REQUIRE_DONE(bench.husk({"run", "-d", "--console-socket", console, "-b", bundle, bench.id()}));
  {
    const auto master = receive_terminal(listening.value());
    write_line(master, "one");
    CHECK(shows(master, "got one 33 111"));
    REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}));
    CHECK(bench.status(bench.id()) == "stopped");
  }
  const auto before = bench.world();
  const std::vector<std::string> restore{"restore", "-d", "-b", bundle, "--image-path", bench.path("image")};
  const auto with = [&](std::vector<std::string> more) {
    auto words = restore;
    words.insert(words.end(), more.begin(), more.end());
    return bench.husk(words);
  };
  CHECK_REFUSED(with({bench.id()}), "cannot allocate tty");
  CHECK_REFUSED(with({"--console-socket", bench.path("none"), bench.id()}), "connect to the console socket");
  CHECK_WORLD(bench, before);
  REQUIRE_DONE(with({"--console-socket", console, bench.id()}));
  const auto master = receive_terminal(listening.value());
  write_line(master, "two");
  CHECK(shows(master, "got two 33 111"));
  REQUIRE_DONE(bench.husk({"exec", bench.id(), "sh", "-c", "echo x >/dev/console"}));
  CHECK(shows(master, "x"));
}

TEST_CASE("restore in the foreground shows the container's terminal on ours, until its end") {
  REQUIRE_CRIU();
  Bench bench;
  const auto console = bench.path("console");
  const auto listening = sys::listen_unix(console, SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listening);
  const auto bundle = bench.shell_bundle("while read line; do echo \"got $line\"; [ $line != end ] || exit 5; done", with_tmp_and_terminal);
  REQUIRE_DONE(bench.husk({"run", "-d", "--console-socket", console, "-b", bundle, bench.id()}));
  const auto first = receive_terminal(listening.value());
  write_line(first, "one");
  REQUIRE(shows(first, "got one"));
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}));
  Terminal ours;
  auto child = bench.start({"restore", "-b", bundle, "--image-path", bench.path("image"), bench.id()},
                           {{.from = ours.slave.get(), .target = 0}, {.from = ours.slave.get(), .target = 1}, {.from = ours.slave.get(), .target = 2}});
  REQUIRE(eventually([&] { return bench.husk({"state", bench.id()}).status.code == 0 && bench.status(bench.id()) == "running"; }));
  write_line(ours.master, "two");
  CHECK(shows(ours.master, "got two"));
  write_line(ours.master, "end");
  CHECK(shows(ours.master, "got end"));
  CHECK(child.wait().value().code == 5);
}

TEST_CASE("checkpoint --shell-job, restore --shell-job: standard streams on the caller's terminal are on that of the next caller") {
  REQUIRE_CRIU();
  for (const bool option : {true, false}) {  // husk tells CRIU of standard streams by itself
    CAPTURE(option);
    Bench bench;
    const auto bundle = bench.shell_bundle("i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done", with_tmp);
    const auto run = [&](std::vector<std::string> words, const Terminal& terminal) {
      if (option && words.front() != "run") words.insert(words.begin() + 1, "--shell-job");
      std::vector<SpawnOptions::Inherit> fds;
      for (int fd = 0; fd < 3; ++fd) fds.push_back({.from = terminal.slave.get(), .target = fd});
      auto child = bench.start(words, fds);
      return child.wait().value().code;
    };
    Terminal first;
    REQUIRE(run({"run", "-d", "-b", bundle, bench.id()}, first) == 0);
    REQUIRE(shows(first.master, "tick 3"));
    REQUIRE(run({"checkpoint", "--image-path", bench.path("image"), bench.id()}, first) == 0);
    Terminal second;
    REQUIRE(run({"restore", "-d", "-b", bundle, "--image-path", bench.path("image"), bench.id()}, second) == 0);
    CHECK(shows(second.master, "tick 9"));
  }
}

TEST_CASE("checkpoint: a descriptor on another terminal of the host is refused, and the container runs on") {
  REQUIRE_CRIU();
  Bench bench;
  Terminal terminal;
  auto child = bench.start({"run", "-d", "--preserve-fds", "1", "-b", bench.shell_bundle("while :; do sleep 0.1; done", with_tmp), bench.id()},
                           {{.from = terminal.slave.get(), .target = 3}});
  REQUIRE(child.wait().value().code == 0);
  CHECK_REFUSED(bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}), "fd=3");
  CHECK(bench.status(bench.id()) == "running");
}

}  // namespace
}  // namespace husk::test
