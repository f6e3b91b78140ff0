#include <signal.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// The numbered steps of create, in order; fault.h makes one fail or kills husk there.
constexpr std::array kSteps{"reserve", "cgroup",     "clone",    "enter-cgroup", "id-maps", "namespaces",  "mounts",
                            "create-container-hooks", "pivot", "credentials", "host-hooks", "commit",  "pid-file"};
// Those of the parent, where a kill -9 leaves work for `delete --force`.
constexpr std::array kParentSteps{"reserve", "cgroup", "clone", "enter-cgroup", "id-maps", "host-hooks", "commit", "pid-file"};

bool has_faults(Bench& bench) {
  const auto done = bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id("probe")}, {"HUSK_FAIL_AT=reserve"});
  if (done.status.code == 0) (void)bench.husk({"delete", "-f", bench.id("probe")});
  return done.status.code != 0;
}

void with_everything(oci::Spec& spec) {
  spec.hostname = "x";
  spec.hooks.create_runtime = {{.path = "/bin/true"}};
  spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}};
}

}  // namespace

TEST_CASE("runtime.md#errors: each step of create that fails leaves mounts, cgroups, state and processes as they were") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    if (!has_faults(bench)) HUSK_SKIP("fault points exist in Debug builds only");
    const auto bundle = bench.bundle({"/bin/true"}, with_everything);
    const auto before = bench.world();
    for (const std::string step : kSteps) {
      for (const std::string verb : {"create", "run"}) {
        CAPTURE(step);
        CAPTURE(verb);
        const auto done = bench.husk({verb, "-b", bundle, "--pid-file", bench.path("pid"), bench.id()}, {"HUSK_FAIL_AT=" + step});
        CHECK(done.status.code == 1);
        CHECK_MESSAGE(contains(done.err, "made to fail at \"" + step + "\""), done.err);
        CHECK(!path_exists(bench.path("pid")));
        CHECK_WORLD(bench, before);
      }
    }
  }
}

TEST_CASE("delete --force cleans up after a husk that was killed at any step") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    if (!has_faults(bench)) HUSK_SKIP("fault points exist in Debug builds only");
    const auto bundle = bench.bundle({"/bin/true"}, with_everything);
    const auto before = bench.world();
    for (const std::string step : kParentSteps) {
      CAPTURE(step);
      const auto done = bench.husk({"create", "-b", bundle, bench.id(), "--pid-file", bench.path("pid")}, {"HUSK_KILL_AT=" + step});
      CHECK(done.status.signal == SIGKILL);
      // Whatever there is, other commands answer and do not hang.
      (void)bench.husk({"state", bench.id()});
      CHECK(bench.husk({"list"}).status.code == 0);
      const auto again = bench.husk({"create", "-b", bundle, bench.id()});
      CHECK(contains(again.err, "already exists"));
      const auto deleted = bench.husk({"delete", "--force", bench.id()});
      CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
      (void)sys::unlinkat(AT_FDCWD, bench.path("pid"));
      CHECK_WORLD(bench, before);
    }
  }
}

TEST_CASE("a create whose init is killed from outside fails with a reason and leaves nothing") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    // The hook kills the container's init, whose pid is in the state on its stdin.
    spec.hooks.create_runtime = {{.path = "/bin/sh", .args = {"sh", "-c", "kill -9 $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')"}, .env = {"PATH=/usr/bin:/bin"}}};
  });
  const auto done = bench.husk({"create", "-b", bundle, bench.id()});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "signal 9"), done.err);
  CHECK_WORLD(bench, before);
}

TEST_CASE("start does not hang on a container whose init is gone") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id()}).status.code == 0);
  REQUIRE(bench.husk({"kill", bench.id(), "KILL"}).status.code == 0);
  const auto done = bench.husk({"start", bench.id()});
  CHECK(done.status.code == 1);
  CHECK(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
}

TEST_CASE("delete --force ends a start that hangs in a startContainer hook") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.mounts.push_back({.destination = "/tmp", .type = "bind", .source = bench.path(""), .options = {"bind"}});
    spec.hooks.start_container = {{.path = "/bin/sh", .args = {"sh", "-c", "echo x > /tmp/in; sleep 1000"}, .env = {"PATH=/bin"}}};
  });
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  auto child = bench.start({"start", bench.id()}, {});
  bench.shell("while ! [ -s " + bench.path("in") + " ]; do :; done; rm " + bench.path("in"));
  const auto deleted = bench.husk({"delete", "--force", bench.id()});
  CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
  CHECK_OK(child.wait());
  CHECK_WORLD(bench, before);
}

TEST_CASE("delete --force ends a create that hangs in the container") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_container = {{.path = "/bin/sh", .args = {"sh", "-c", "echo x > " + bench.path("in"), "x"}, .env = {"PATH=/usr/bin:/bin"}},
                                   {.path = "/bin/sleep", .args = {"sleep", "50"}}};
  });
  auto child = bench.start({"create", "-b", bundle, bench.id()}, {});
  bench.shell("while ! [ -s " + bench.path("in") + " ]; do :; done; rm " + bench.path("in"));
  CHECK(bench.husk({"delete", "--force", bench.id()}).status.code == 0);
  CHECK(child.wait().value().code == 1);
  CHECK_WORLD(bench, before);
}
