// kill -9 of husk, or a failure, at every fault point that the source names: a new one is covered by itself.
#include <signal.h>

#include <set>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// Every fault_point("…") of the source, but those of restore, which has a test of its own (it needs CRIU).
std::set<std::string> all_points(Bench& bench) {
  const auto found = bench.shell(std::string{"grep -rhoE 'fault_point\\(\"[a-z-]+\"' "} + source_dir() + "/runtime --include=*.cc | sed 's/.*\"\\(.*\\)\"/\\1/'");
  std::set<std::string> points;
  for (const auto line : split(found.out, '\n'))
    if (!line.empty() && !line.starts_with("restore-")) points.emplace(line);
  return points;
}

bool has_faults(Bench& bench) {
  const auto done = bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id("probe")}, {"HUSK_FAIL_AT=reserve"});
  if (done.status.code == 0) (void)bench.husk({"delete", "-f", bench.id("probe")});
  return done.status.code != 0;
}

void with_everything(oci::Spec& spec) {
  spec.hostname = "x";
  spec.hooks.create_runtime = {{.path = "/bin/true"}};
  spec.hooks.poststop = {{.path = "/bin/true"}};
  spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}};
}

// One container's life, verb by verb, until `fault` strikes. Which verb that was, or "".
struct Struck {
  std::string verb;
  Output done;
};
Struck live(Bench& bench, const std::string& bundle, const std::string& fault) {
  const auto id = bench.id();
  const std::vector<std::vector<std::string>> verbs{
      {"create", "-b", bundle, "--pid-file", bench.path("pid"), id}, {"start", id},
      {"exec", "-d", "--pid-file", bench.path("exec-pid"), id, "/bin/sleep", "1000"},
      {"update", "--pids-limit", "50", id}, {"delete", "-f", id}};
  const bool kills = fault.starts_with("HUSK_KILL_AT=");
  for (const auto& words : verbs) {
    auto done = bench.husk(words, {fault});
    if (kills ? done.status.signal == SIGKILL : contains(done.err, "made to fail at")) return {words.front(), std::move(done)};
    // A fault in the container's half is told by husk's half.
    if (done.status.code != 0) return {words.front(), std::move(done)};
  }
  return {};
}

Struck run(Bench& bench, const std::string& bundle, const std::string& fault) {
  auto done = bench.husk({"run", "-b", bundle, bench.id()}, {fault});
  if (done.status.code == 0) return {};
  return {"run", std::move(done)};
}

// What an operator does next, and what must be true of it.
void clean_up(Bench& bench, const std::string& before) {
  CHECK(bench.husk({"list"}).status.code == 0);
  const auto listed = bench.husk({"list", "-q"}).out;
  const auto state = bench.husk({"state", bench.id()});
  if (contains(listed, bench.id())) CHECK_MESSAGE(state.status.code == 0, state.err);
  const auto deleted = bench.husk({"delete", "--force", bench.id()});
  CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
  CHECK(bench.husk({"list", "-q"}).out.empty());
  const auto collected = bench.husk({"gc"});
  CHECK(collected.status.code == 0);
  CHECK_MESSAGE(collected.out.empty(), collected.out);
  for (const auto* name : {"pid", "exec-pid"}) (void)sys::unlinkat(AT_FDCWD, bench.path(name));
  CHECK_WORLD(bench, before);
}

}  // namespace

TEST_CASE("kill -9 at every step of create, start, exec, update, delete and run: delete --force cleans up, gc finds nothing else") {
  REQUIRE_E2E();
  Bench bench;
  if (!has_faults(bench)) HUSK_SKIP("fault points exist in Debug builds only");
  const auto sleeping = bench.bundle({"/bin/sleep", "1000"}, with_everything);
  const auto passing = bench.bundle({"/bin/true"}, with_everything);
  const auto before = bench.world();
  for (const auto& point : all_points(bench)) {
    CAPTURE(point);
    const auto fault = "HUSK_KILL_AT=" + point;
    const auto lived = live(bench, sleeping, fault);
    clean_up(bench, before);
    const auto ran = run(bench, passing, fault);
    clean_up(bench, before);
    // A point that no verb passes would prove nothing.
    CHECK((!lived.verb.empty() || !ran.verb.empty()));
  }
}

TEST_CASE("a create that is killed before it looked at its cgroup: no verb reaches the container that lives there") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    if (!has_faults(bench)) HUSK_SKIP("fault points exist in Debug builds only");
    const auto bundle = bench.bundle({"/bin/sleep", "1000"});
    const auto living = bench.id("living");
    const auto dead = bench.id("dead");
    const auto before = bench.world();
    REQUIRE(bench.husk({"run", "-d", "-b", bundle, living}).status.code == 0);
    const std::vector<std::vector<std::string>> verbs{
        {"kill", "--all", dead, "KILL"}, {"ps", dead}, {"delete", dead}, {"delete", "--force", dead}, {"gc"}};
    for (const auto& verb : verbs) {
      CAPTURE(verb.front());
      CHECK(bench.husk({"create", "-b", bundle, dead}, {"HUSK_KILL_AT=reserve"}).status.signal == SIGKILL);
      const auto done = bench.husk(verb);
      CHECK((done.status.code == 0) == (verb.back() == "gc" || verb.at(verb.size() - 2) == "--force"));
      CHECK_FALSE(contains(done.out, std::to_string(bench.pid(living))));
      CHECK(bench.status(living) == "running");
      CHECK(bench.husk({"delete", "--force", dead}).status.code == 0);
      CHECK(bench.husk({"state", dead}).status.code == 1);
    }
    CHECK(bench.status(living) == "running");
    CHECK(bench.husk({"delete", "--force", living}).status.code == 0);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a failure at every step of create and run leaves all as it was; of any other verb, what delete cleans up") {
  REQUIRE_E2E();
  Bench bench;
  if (!has_faults(bench)) HUSK_SKIP("fault points exist in Debug builds only");
  const auto sleeping = bench.bundle({"/bin/sleep", "1000"}, with_everything);
  const auto passing = bench.bundle({"/bin/true"}, with_everything);
  const auto before = bench.world();
  for (const auto& point : all_points(bench)) {
    CAPTURE(point);
    const auto fault = "HUSK_FAIL_AT=" + point;
    const auto lived = live(bench, sleeping, fault);
    if (!lived.verb.empty()) CHECK_MESSAGE(contains(lived.done.err, "made to fail at \"" + point + "\""), lived.done.err);
    CAPTURE(lived.verb);
    if (lived.verb == "create" || lived.verb == "start") {
      CHECK(!path_exists(bench.path("exec-pid")));
      if (lived.verb == "create") CHECK(!path_exists(bench.path("pid")));
      (void)sys::unlinkat(AT_FDCWD, bench.path("pid"));
      CHECK_WORLD(bench, before);
    }
    if (lived.verb == "exec" || lived.verb == "update") CHECK(bench.status(bench.id()) == "running");
    if (lived.verb == "exec") {
      CHECK(!path_exists(bench.path("exec-pid")));
      CHECK(bench.husk({"ps", "--format", "json", bench.id()}).out == format_text("[{}]\n", bench.pid(bench.id())));
    }
    clean_up(bench, before);
    const auto ran = run(bench, passing, fault);
    if (!ran.verb.empty() && point != "run-over" && !point.starts_with("delete-")) CHECK_WORLD(bench, before);
    clean_up(bench, before);
  }
}

TEST_CASE("kill -9 of run and exec in the foreground: the container and the process go on") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  auto run = bench.start({"run", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}, {});
  REQUIRE(eventually([&] { return contains(bench.husk({"list"}).out, "running"); }));
  auto exec = bench.start({"exec", bench.id(), "/bin/sleep", "1001"}, {});
  const auto processes = [&] { return bench.husk({"ps", "--format", "json", bench.id()}).out; };
  // The program itself: before that, the process on its way in ends with its husk.
  REQUIRE(eventually([&] {
    const auto listed = bench.husk({"ps", bench.id()}).out;
    return contains(listed, "sleep 1001") && !contains(listed, "husk");
  }));
  const auto two = processes();
  for (auto* child : {&exec, &run}) {
    REQUIRE_OK(child->signal(SIGKILL));
    REQUIRE_OK(child->wait());
  }
  CHECK(bench.status(bench.id()) == "running");
  CHECK(processes() == two);
  CHECK(bench.husk({"exec", bench.id(), "true"}).status.code == 0);
  clean_up(bench, before);
}
