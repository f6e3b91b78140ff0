// Verbs that act on many containers: gc, and kill and delete with --regex.
#include <sys/mman.h>

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

TEST_CASE("two containers that are made in one cgroup at once: one is, the other is refused") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"});
    const auto before = bench.world();
    for (int round = 0; round < 25; ++round) {
      CAPTURE(round);
      const auto err = sys::memfd_create("err", MFD_CLOEXEC);
      REQUIRE_OK(err);
      const std::vector<SpawnOptions::Inherit> said{{.from = err.value().get(), .target = 2}};
      auto first = bench.start({"run", "-d", "-b", bundle, bench.id("a")}, said);
      auto second = bench.start({"run", "-d", "-b", bundle, bench.id("b")}, said);
      const int good = (first.wait().value().code == 0 ? 1 : 0) + (second.wait().value().code == 0 ? 1 : 0);
      REQUIRE_OK(sys::lseek(err.value().get(), 0, SEEK_SET));
      const auto text = read_all(err.value().get()).value();
      CHECK_MESSAGE(good == 1, text);
      CHECK_MESSAGE(contains(text, "needs a cgroup of its own"), text);
      for (const auto* name : {"a", "b"}) CHECK(bench.husk({"delete", "--force", bench.id(name)}).status.code == 0);
      CHECK_WORLD(bench, before);
    }
  }
}
