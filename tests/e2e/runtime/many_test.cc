// Verbs that act on many containers: gc, and kill and delete with --regex.
#include <algorithm>

#include "bench.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("gc removes what a create that was killed left, and nothing else") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto probe = bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id("probe")}, {"HUSK_FAIL_AT=reserve"});
    if (probe.status.code == 0) HUSK_SKIP("fault points exist in Debug builds only");
    REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id("created")}).status.code == 0);
    REQUIRE(bench.husk({"run", "--keep", "-b", bench.bundle({"/bin/true"}), bench.id("stopped")}).status.code == 0);
    CHECK(bench.husk({"gc"}).out.empty());
    const auto before = bench.world();
    for (const std::string step : {"reserve", "cgroup", "clone", "enter-cgroup", "id-maps", "host-hooks"}) {
      CAPTURE(step);
      (void)bench.husk({"create", "-b", bench.bundle({"/bin/true"}, [](oci::Spec& spec) { spec.hooks.create_runtime = {{.path = "/bin/true"}}; }), bench.id()}, {"HUSK_KILL_AT=" + step});
      CHECK(path_exists(bench.root() + "/" + bench.id()));
      // Its child ends with it, but on a busy machine not before it has run at all, and so long it has the lock, too.
      CHECK(eventually([&] { return bench.husk({"gc", "--dry-run"}).out == bench.id() + "\n"; }));
      CHECK(path_exists(bench.root() + "/" + bench.id()));
      const auto done = bench.husk({"gc"});
      CHECK_MESSAGE(done.status.code == 0, done.err);
      CHECK(done.out == bench.id() + "\n");
      CHECK_WORLD(bench, before);
    }
    CHECK(bench.status(bench.id("created")) == "created");
    CHECK(bench.husk({"start", bench.id("created")}).status.code == 0);
  }
}

TEST_CASE("gc leaves a create alone that is at work, also before its first record") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(make_directories(bench.root() + "/" + bench.id("new")));
  CHECK(bench.husk({"gc"}).out.empty());
  CHECK(path_exists(bench.root() + "/" + bench.id("new")));
  bench.shell("touch -d '2 minutes ago' " + bench.root() + "/" + bench.id("new"));
  CHECK(bench.husk({"gc"}).out == bench.id("new") + "\n");
  // The hook holds the create up until gc has looked.
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/sh", .args = {"sh", "-c", "touch " + bench.path("in") + "; while [ ! -e " + bench.path("go") + " ]; do :; done"}}};
  });
  const auto done = bench.shell("husk create -b " + bundle + " " + bench.id() + " & while [ ! -e " + bench.path("in") +
                                " ]; do :; done; husk gc; touch " + bench.path("go") + "; wait $!; echo made $?");
  CHECK_MESSAGE(done.out == "made 0\n", done.err);
  CHECK(bench.status(bench.id()) == "created");
}

TEST_CASE("kill and delete --regex act on every id that matches, and on no other") {
  REQUIRE_E2E();
  Bench bench;
  for (const std::string name : {"web-1", "web-2", "db"})
    REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id(name)}).status.code == 0);
  const auto busy = bench.husk({"delete", "--regex", "web-[0-9]"});
  CHECK(busy.status.code == 1);
  CHECK_MESSAGE(contains(busy.err, "cannot delete container " + bench.id("web-1")), busy.err);
  CHECK_MESSAGE(contains(busy.err, "cannot delete container " + bench.id("web-2")), busy.err);
  CHECK(bench.husk({"kill", "-r", "web-[0-9]", "KILL"}).status.code == 0);
  for (const std::string name : {"web-1", "web-2"}) CHECK(bench.husk({"wait", bench.id(name)}).status.code != 0);
  CHECK(bench.status(bench.id("db")) == "running");
  CHECK(bench.husk({"kill", "web-1|web-2", "TERM", "--regex"}).status.code == 0);  // ended ones need no signal
  const auto deleted = bench.husk({"delete", "web-[0-9]", "-r"});
  CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
  CHECK(bench.husk({"list", "-q"}).out == bench.id("db") + "\n");
  CHECK(bench.husk({"delete", "--regex", "nothing"}).status.code == 0);
  CHECK(contains(bench.husk({"delete", "--regex", "("}).err, "--regex \"(\""));
  CHECK(contains(bench.husk({"kill", "--regex"}).err, "requires an argument"));
  CHECK(bench.husk({"delete", "--force", "--regex", "."}).status.code == 0);
  CHECK(bench.husk({"list", "-q"}).out.empty());
}
