// sd_notify from inside a container: $NOTIFY_SOCKET of husk, and the container's own at /run/notify.
#include <sys/socket.h>

#include "base/file.h"
#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

bool has_perl() { return sys::access("/usr/bin/perl", X_OK).has_value(); }

// Says each of `lines` in a datagram of its own. Needs perl, so the root file system is the host's.
std::string speaker(Bench& bench, const std::string& lines, const std::string& then, const Change& change = {}) {
  const auto script = format_text("perl -MSocket -e 'socket(S,AF_UNIX,SOCK_DGRAM,0) or die; for (@ARGV) {{ s/;/\\n/g; "
                                  "send(S,$_,0,sockaddr_un($ENV{{NOTIFY_SOCKET}})) or die \"send: $!\"; }}' {}; {}", lines, then);
  return bench.shell_bundle(script, [&](oci::Spec& spec) {
    spec.root = oci::Root{.path = "/", .readonly = true};
    for (const auto* path : {"/run", "/tmp"})
      spec.mounts.push_back({.destination = path, .type = "tmpfs", .source = "tmpfs", .options = {}});
    spec.process->env = {"PATH=/usr/bin:/bin"};
    if (change) change(spec);
  });
}

// The host's service manager, as far as husk sees it.
struct Host {
  explicit Host(Bench& bench) : path{bench.path("host.sock")} {
    auto bound = sys::listen_unix(path, SOCK_DGRAM, 0, 0600);
    REQUIRE_OK(bound);
    socket = std::move(bound).value();
    REQUIRE_OK(sys::set_nonblocking(socket.get(), true));
  }
  // All that has come, datagrams separated by "|".
  std::string heard() const {
    std::string all;
    for (;;) {
      const auto got = sys::receive_message(socket.get(), 4096);
      if (!got.has_value()) return all;
      all += got.value().data + "|";
    }
  }
  std::vector<std::string> environment() const { return {"NOTIFY_SOCKET=" + path}; }
  std::string path;
  UniqueFd socket;
};

}  // namespace

#define REQUIRE_SPEAKER()                       \
  REQUIRE_E2E();                                \
  do {                                          \
    if (!has_perl()) HUSK_SKIP("needs perl");   \
  } while (false)

TEST_CASE("sd_notify: run -d returns when the container is ready, and tells its main process") {
  REQUIRE_SPEAKER();
  Bench bench;
  const auto before = bench.world();
  const Host host{bench};
  const auto bundle = speaker(bench, "STATUS=warming FDSTORE=1 'MAINPID=1;READY=1;X=2'", "exec sleep 1000");
  const auto done = bench.husk({"run", "-d", "-b", bundle, bench.id()}, host.environment());
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(host.heard() == format_text("STATUS=warming\n|MAINPID={}\nREADY=1\n|BARRIER=1|", bench.pid(bench.id())));
  REQUIRE(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
  ::unlink(host.path.c_str());
  CHECK_WORLD(bench, before);
}

TEST_CASE("sd_notify: create and start; start waits, and also ends when the container does") {
  REQUIRE_SPEAKER();
  Bench bench;
  const Host host{bench};
  const auto ready = speaker(bench, "READY=1", "exec sleep 1000");
  REQUIRE(bench.husk({"create", "-b", ready, bench.id()}, host.environment()).status.code == 0);
  CHECK(host.heard().empty());
  const auto started = bench.husk({"start", bench.id()}, host.environment());
  REQUIRE_MESSAGE(started.status.code == 0, started.err);
  CHECK(host.heard() == format_text("MAINPID={}\nREADY=1\n|BARRIER=1|", bench.pid(bench.id())));
  const auto silent = speaker(bench, "", "exit 3");
  REQUIRE(bench.husk({"create", "-b", silent, bench.id("s")}, host.environment()).status.code == 0);
  CHECK(bench.husk({"start", bench.id("s")}, host.environment()).status.code == 0);
  CHECK(host.heard().empty());
}

TEST_CASE("sd_notify: in the foreground husk stays the main process and goes on speaking") {
  REQUIRE_SPEAKER();
  Bench bench;
  const Host host{bench};
  const auto bundle = speaker(bench, "READY=1 STATUS=later STOPPING=1", "sleep 0.3; exit 7");
  const auto done = bench.husk({"run", "-b", bundle, bench.id()}, host.environment());
  CHECK_MESSAGE(done.status.code == 7, done.err);
  CHECK(host.heard() == "READY=1\n|BARRIER=1|STATUS=later\n|STOPPING=1\n|");
}

TEST_CASE("sd_notify: the directory in the container is private and read-only, also in a user namespace; the host's socket is not there") {
  REQUIRE_SPEAKER();
  Bench bench;
  const Host host{bench};
  const auto look = "grep ' /run/notify ' /proc/self/mountinfo | cut -d' ' -f6- | cut -d- -f1; touch /run/notify/x 2>&1; ls /run/notify";
  for (const bool user : {false, true}) {
    CAPTURE(user);
    const auto bundle = speaker(bench, "READY=1", look, [&](oci::Spec& spec) {
      if (!user) return;
      spec.linux.namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
      spec.linux.uid_mappings = spec.linux.gid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
    });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()}, host.environment());
    CHECK_MESSAGE(contains(done.out, "ro,nosuid,nodev,noexec"), (done.out + done.err));
    CHECK(!contains(done.out, "shared:"));
    CHECK(contains(done.out, "Read-only file system\nnotify.sock\n"));
    CHECK_MESSAGE(contains(host.heard(), "READY=1"), (done.out + done.err));
  }
}

TEST_CASE("sd_notify: a configuration with a NOTIFY_SOCKET of its own is left alone; a bad $NOTIFY_SOCKET is an error that leaves nothing") {
  REQUIRE_SPEAKER();
  Bench bench;
  const Host host{bench};
  const auto before = bench.world();
  const auto own = bench.shell_bundle("echo $NOTIFY_SOCKET; ls /run/notify", [](oci::Spec& spec) { spec.process->env.emplace_back("NOTIFY_SOCKET=/x"); });
  CHECK(bench.husk({"run", "-b", own, bench.id()}, host.environment()).out == "/x\n");
  for (const auto* bad : {"relative", "/nonexistent/socket"}) {
    const auto done = bench.husk({"run", "-b", own, bench.id()}, {format_text("NOTIFY_SOCKET={}", bad)});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "NOTIFY_SOCKET"), done.err);
  }
  CHECK_WORLD(bench, before);
}
