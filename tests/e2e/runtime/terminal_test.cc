#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "terminal.h"

using namespace husk;
using namespace husk::test;

namespace {

// Everything until the other side closes (EIO of a pty master).
std::string read_terminal(const UniqueFd& master) {
  std::string text;
  std::array<char, 4096> block{};
  for (;;) {
    const auto got = sys::read_some(master.get(), block);
    if (!got.has_value() || got.value() == 0) return text;
    text.append(block.data(), got.value());
  }
}

}  // namespace

TEST_CASE("config.md#process: terminal and consoleSize; the master goes to the console socket") {
  REQUIRE_E2E();
  Bench bench;
  const auto listening = sys::listen_unix(bench.path("console"), SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listening);
  const auto bundle = bench.shell_bundle("tty; stty size; ls -l /dev/console | cut -c1; echo hi > /dev/console; test -t 0 && test -t 2 && echo all", with_terminal);
  const auto created = bench.husk({"create", "-b", bundle, "--console-socket", bench.path("console"), bench.id()});
  REQUIRE_MESSAGE(created.status.code == 0, created.err);
  const auto master = receive_terminal(listening.value());
  REQUIRE(bench.husk({"start", bench.id()}).status.code == 0);
  CHECK(read_terminal(master) == "/dev/pts/0\r\n33 111\r\nc\r\nhi\r\nall\r\n");
}

TEST_CASE("exec --tty with a console socket; the user owns the terminal") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto listening = sys::listen_unix(bench.path("console"), SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listening);
  const auto done = bench.husk({"exec", "-d", "-t", "-u", "1000", "--console-socket", bench.path("console"), bench.id(), "sh", "-c", "stat -c %u $(tty); echo x > $(tty)"});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(read_terminal(receive_terminal(listening.value())) == "1000\r\nx\r\n");
}

TEST_CASE("run in the foreground carries the terminal's bytes, also without a terminal of its own") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("read x; echo \"got $x\"; exit 4", with_terminal);
  const auto done = bench.shell("echo word | husk run -b " + bundle + " " + bench.id());
  CHECK(done.status.code == 4);
  CHECK_MESSAGE(contains(done.out, "got word\r\n"), (done.out + done.err));
}

TEST_CASE("the size of the caller's terminal reaches the container, and changes with SIGWINCH") {
  REQUIRE_E2E();
  Bench bench;
  // A pty of ours plays the user's terminal.
  const auto master = sys::openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY);
  REQUIRE_OK(master);
  int unlock = 0;
  REQUIRE_OK(sys::ioctl(master.value().get(), TIOCSPTLCK, &unlock, "TIOCSPTLCK"));
  const auto slave = UniqueFd{::ioctl(master.value().get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)};
  winsize size{.ws_row = 10, .ws_col = 20, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE_OK(sys::ioctl(master.value().get(), TIOCSWINSZ, &size, "TIOCSWINSZ"));
  const auto bundle = bench.shell_bundle("trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.01; done", [](oci::Spec& spec) { spec.process->terminal = true; });
  auto child = bench.start({"run", "-b", bundle, bench.id()}, {{.from = slave.get(), .target = 0}, {.from = slave.get(), .target = 1}, {.from = slave.get(), .target = 2}});
  std::string text;
  std::array<char, 256> block{};
  while (!contains(text, "10 20\r\n")) {
    const auto got = sys::read_some(master.value().get(), block);
    REQUIRE_OK(got);
    text.append(block.data(), got.value());
  }
  size = {.ws_row = 30, .ws_col = 40, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE_OK(sys::ioctl(master.value().get(), TIOCSWINSZ, &size, "TIOCSWINSZ"));
  REQUIRE_OK(child.signal(SIGWINCH));
  while (!contains(text, "30 40\r\n")) {
    const auto got = sys::read_some(master.value().get(), block);
    REQUIRE_OK(got);
    text.append(block.data(), got.value());
  }
  CHECK(child.wait().value().code == 0);
}

TEST_CASE("a terminal without a console socket, and a console socket without a terminal, are errors") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  CHECK(contains(bench.husk({"create", "-b", bench.bundle({"/bin/true"}, with_terminal), bench.id()}).err, "cannot allocate tty"));
  CHECK(contains(bench.husk({"create", "--console-socket", "/nowhere", "-b", bench.bundle({"/bin/true"}), bench.id()}).err, "cannot use console socket"));
  CHECK(contains(bench.husk({"create", "--console-socket", "/nowhere", "-b", bench.bundle({"/bin/true"}, with_terminal), bench.id()}).err, "console socket"));
  CHECK_WORLD(bench, before);
}
