#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "bench.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("runtime.md#lifecycle: create, state, start, kill, delete on either cgroup version") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto id = bench.id();
    const auto before = bench.world();
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { spec.annotations = {{"a.b", "c"}}; });
    const auto created = bench.husk({"create", "--bundle", bundle, "--pid-file", bench.path("pid"), id});
    REQUIRE_MESSAGE(created.status.code == 0, created.err);
    CHECK(created.err.empty());
    const auto state = bench.state(id);
    CHECK(*state.find("status")->as_string() == "created");
    CHECK(*state.find("id")->as_string() == id);
    CHECK(*state.find("bundle")->as_string() == bundle);
    CHECK(*state.find("annotations")->find("a.b")->as_string() == "c");
    CHECK(read_file(bench.path("pid")).value() == std::to_string(bench.pid(id)));
    CHECK(bench.husk({"start", id}).status.code == 0);
    CHECK(bench.status(id) == "running");
    CHECK(bench.husk({"kill", id, "KILL"}).status.code == 0);
    CHECK(bench.shell("while [ -d /proc/" + std::to_string(bench.pid(id)) + " ] && ! grep -q 'State:.Z' /proc/$(cat " +
                      bench.path("pid") + ")/status 2>/dev/null; do :; done").status.code == 0);
    CHECK(bench.status(id) == "stopped");
    CHECK(bench.state(id).find("pid") == nullptr);
    CHECK(bench.husk({"delete", id}).status.code == 0);
    CHECK(contains(bench.husk({"state", id}).err, "does not exist"));
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("run returns the status of the program, 128 and the signal when it was killed, and leaves nothing") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    CHECK(bench.husk({"run", "--bundle", bench.bundle({"/bin/true"}), bench.id()}).status.code == 0);
    CHECK(bench.husk({"run", "--bundle", bench.shell_bundle("exit 42"), bench.id()}).status.code == 42);
    const auto killed = bench.husk({"run", "--bundle", bench.shell_bundle("sh -c 'kill -9 $$'; exit $?"), bench.id()});
    CHECK(killed.status.code == 137);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("run passes output on unchanged and forwards signals") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.01; done");
  auto out = sys::pipe2();
  REQUIRE_OK(out);
  auto child = bench.start({"run", "--bundle", bundle, bench.id()}, {{.from = out.value().write_end.get(), .target = 1}});
  out.value().write_end.reset();
  std::array<char, 3> up{};
  REQUIRE_OK(sys::read_some(out.value().read_end.get(), up));
  CHECK(std::string{up.data(), 3} == "up\n");
  REQUIRE_OK(child.signal(SIGTERM));
  CHECK(read_all(out.value().read_end.get()).value() == "got\n");
  CHECK(child.wait().value().code == 5);
}

TEST_CASE("a caller that ignores SIGCHLD gets exit codes all the same") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("exit 7", [](oci::Spec& spec) { spec.hooks.create_runtime = {{.path = "/bin/true"}}; });
  const std::string deaf = "HUSK_LINE=\"timeout 20 env --ignore-signal=CHLD $HUSK_LINE\"; ";
  const auto done = bench.shell(deaf + "husk run -b " + bundle + " " + bench.id());
  CHECK_MESSAGE(done.status.code == 7, done.err);
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto inside = bench.shell(deaf + "husk exec " + bench.id() + " sh -c 'exit 8'");
  CHECK_MESSAGE(inside.status.code == 8, inside.err);
}

TEST_CASE("run --detach returns at once and keeps the container; run --keep keeps its state") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id("d");
  CHECK(bench.husk({"run", "--detach", "--pid-file", bench.path("p"), "-b", bench.bundle({"/bin/sleep", "1000"}), id}).status.code == 0);
  CHECK(bench.status(id) == "running");
  CHECK(bench.husk({"delete", "-f", id}).status.code == 0);
  const auto kept = bench.id("k");
  CHECK(bench.husk({"run", "--keep", "-b", bench.shell_bundle("exit 3"), kept}).status.code == 3);
  CHECK(bench.status(kept) == "stopped");
  CHECK(bench.husk({"delete", kept}).status.code == 0);
}

TEST_CASE("texts that callers parse") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  const auto bundle = bench.bundle({"/bin/sleep", "1000"});
  for (const auto* verb : {"state", "start", "kill", "delete", "pause", "resume", "ps"}) {
    CAPTURE(verb);
    const auto unknown = bench.husk({verb, "nobody"});
    CHECK(unknown.status.code == 1);
    CHECK(contains(unknown.err, "container \"nobody\" does not exist"));
  }
  CHECK(contains(bench.husk({"exec", "nobody", "true"}).err, "does not exist"));
  CHECK(bench.husk({"delete", "--force", "nobody"}).status.code == 0);
  REQUIRE(bench.husk({"create", "-b", bundle, id}).status.code == 0);
  CHECK(contains(bench.husk({"create", "-b", bundle, id}).err, "container with given ID already exists"));
  CHECK(bench.status(id) == "created");
  REQUIRE(bench.husk({"start", id}).status.code == 0);
  CHECK(contains(bench.husk({"start", id}).err, "cannot start an already running container"));
  CHECK(contains(bench.husk({"delete", id}).err, "cannot delete container " + id + " that is not stopped: running"));
  CHECK(contains(bench.husk({"resume", id}).err, "container not paused"));
  REQUIRE(bench.husk({"pause", id}).status.code == 0);
  CHECK(contains(bench.husk({"exec", id, "true"}).err, "cannot exec in a paused container (use --ignore-paused to override)"));
  CHECK(contains(bench.husk({"start", id}).err, "cannot start a container in the paused state"));
  REQUIRE(bench.husk({"resume", id}).status.code == 0);
  bench.husk({"kill", id, "9"});
  bench.shell("p=$(cat /proc/self/stat); while [ \"$(husk state " + id + " | grep -c running)\" = 1 ]; do :; done");
  for (const auto& arguments : {std::vector<std::string>{"kill", id}, {"exec", id, "true"}}) {
    const auto late = bench.husk(arguments);
    CHECK(contains(late.err, "container not running"));
    CHECK(contains(late.err, "no such process"));
  }
  CHECK(contains(bench.husk({"start", id}).err, "cannot start a container that has stopped"));
}

TEST_CASE("runtime.md#lifecycle: later edits of config.json change nothing, and no process means no start") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("exit 9");
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  REQUIRE_OK(write_atomically(AT_FDCWD, bundle + "/config.json", "{}"));
  CHECK(bench.husk({"start", bench.id()}).status.code == 0);
  const auto without = bench.bundle({"x"}, [](oci::Spec& spec) { spec.process.reset(); });
  REQUIRE(bench.husk({"create", "-b", without, bench.id("n")}).status.code == 0);
  CHECK(contains(bench.husk({"start", bench.id("n")}).err, "/process"));
  CHECK(bench.status(bench.id("n")) == "created");
  CHECK(bench.husk({"delete", bench.id("n")}).status.code == 0);
}

TEST_CASE("errors go to stderr and, as exactly one JSON line, to the log") {
  REQUIRE_E2E();
  Bench bench;
  const auto failed = bench.husk({"--log", "file:" + bench.log(), "--log-format", "json", "start", "nobody"});
  CHECK(failed.status.code == 1);
  CHECK(failed.err == "husk: start nobody: container \"nobody\" does not exist\n");
  const auto log = read_file(bench.log());
  REQUIRE_OK(log);
  const auto json = oci::parse_json(log.value());
  REQUIRE_OK(json);
  CHECK(*json.value().find("level")->as_string() == "error");
  CHECK(contains(*json.value().find("msg")->as_string(), "does not exist"));
  CHECK(json.value().find("time")->as_string()->ends_with("Z"));
}

TEST_CASE("podman reads the log as one object: a warning before an error stays out of it unless it is asked for") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/nosuch"}, [](oci::Spec& spec) { spec.process->capabilities->bounding.push_back("CAP_NOSUCH"); });
  const auto failed = bench.husk({"--log", bench.log(), "--log-format", "json", "create", "-b", bundle, bench.id()});
  CHECK(failed.status.code == 1);
  CHECK_MESSAGE(contains(failed.err, "warning: unknown capability \"CAP_NOSUCH\""), failed.err);
  const auto json = oci::parse_json(read_file(bench.log()).value());
  REQUIRE_OK(json);
  CHECK(contains(*json.value().find("msg")->as_string(), "no such file or directory"));
  for (const std::string level : {"--log-level=warning", "--debug"}) {
    (void)bench.husk({"--log", bench.path(level), "--log-format", "json", level, "create", "-b", bundle, bench.id()});
    const auto all = read_file(bench.path(level)).value();
    const bool steps = level == "--debug";  // they come beside warning and error
    CHECK((std::count(all.begin(), all.end(), '\n') > 2) == steps);
    CHECK(contains(all, "\"level\":\"warning\""));
    CHECK(contains(all, "\"level\":\"error\""));
  }
}

TEST_CASE("a parse error of the verb's own options is in the log too") {
  REQUIRE_E2E();
  Bench bench;
  CHECK(bench.husk({"--log", bench.log(), "--log-format=json", "create", "--nope", "x"}).status.code == 1);
  CHECK(contains(read_file(bench.log()).value(), "nope"));
}

TEST_CASE("list and ps: tables and JSON") {
  REQUIRE_E2E();
  Bench bench;
  CHECK(bench.husk({"list", "-f", "json"}).out == "[]\n");
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("b")}).status.code == 0);
  REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id("a")}).status.code == 0);
  CHECK(bench.husk({"list", "-q"}).out == bench.id("a") + "\n" + bench.id("b") + "\n");
  const auto table = bench.husk({"list"}).out;
  CHECK(table.starts_with("ID "));
  CHECK(contains(table, "created"));
  CHECK(contains(table, "running"));
  const auto json = oci::parse_json(bench.husk({"list", "--format=json"}).out);
  REQUIRE_OK(json);
  REQUIRE(json.value().as_array()->size() == 2);
  CHECK(*json.value().as_array()->at(1).find("status")->as_string() == "running");
  CHECK(bench.husk({"ps", "--format", "json", bench.id("b")}).out == "[" + std::to_string(bench.pid(bench.id("b"))) + "]\n");
  CHECK(contains(bench.husk({"ps", bench.id("b")}).out, "/bin/sleep 1000"));
  CHECK(bench.husk({"list", "-f", "xml"}).status.code == 1);
  // What is broken is named, and what is no container at all is passed over.
  const auto record = bench.root() + "/" + bench.id("a") + "/state.json";
  bench.shell("echo junk > " + bench.root() + "/file; ln -s /etc " + bench.root() + "/link; mv " + record + " " + bench.path("kept") + "; echo '{' > " + record);
  const auto broken = bench.husk({"list", "-q"});
  CHECK(broken.out == bench.id("b") + "\n");
  CHECK_MESSAGE(contains(broken.err, bench.id("a") + "/state.json"), broken.err);
  CHECK(bench.husk({"gc"}).status.code == 0);
  bench.shell("mv " + bench.path("kept") + " " + record);
}

TEST_CASE("ps: arguments after the id go to ps(1), and the rows of the container stay") {
  REQUIRE_E2E();
  if (!find_host_program("ps").has_value()) HUSK_SKIP("needs the program ps (package procps)");
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto pid = std::to_string(bench.pid(bench.id()));
  const auto full = bench.husk({"ps", bench.id(), "-ef"});
  CHECK_MESSAGE(full.status.code == 0, full.err);
  CHECK(full.out.starts_with("UID "));
  CHECK(contains(full.out, "/bin/sleep 1000\n"));
  CHECK(split(full.out, '\n').size() == 3);  // header, one row, the end
  const auto chosen = bench.husk({"ps", bench.id(), "-A", "-o", "comm,pid"});
  const auto lines = split(chosen.out, '\n');
  REQUIRE_MESSAGE(lines.size() == 3, chosen.out);
  CHECK(lines[0].starts_with("COMMAND "));
  CHECK(lines[1].ends_with(" " + pid));
  for (const auto& words : std::vector<std::vector<std::string>>{{"-f", "json"}, {"--format", "json"}, {"--format=json"}, {"-ef", "-f", "json"}}) {
    auto command = std::vector<std::string>{"ps", bench.id()};
    command.insert(command.end(), words.begin(), words.end());
    CHECK(bench.husk(command).out == "[" + pid + "]\n");
  }
  CHECK(contains(bench.husk({"ps", bench.id(), "-A", "-o", "comm"}).err, "no column PID"));
  const auto refused = bench.husk({"ps", bench.id(), "--no-such-option"});
  CHECK(refused.status.code == 1);
  CHECK_MESSAGE(contains(refused.err, "ps ended with status"), refused.err);
}

TEST_CASE("kill --all reaches every process; SIGKILL ends a paused container") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto id = bench.id();
    REQUIRE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 1000 & sleep 1000 & wait"), id}).status.code == 0);
    CHECK(bench.husk({"kill", "--all", id, "KILL"}).status.code == 0);
    bench.shell("while husk state " + id + " | grep -q '\"running\"'; do :; done");
    CHECK(bench.husk({"ps", "-f", "json", id}).out == "[]\n");
    REQUIRE(bench.husk({"delete", id}).status.code == 0);
    REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), id}).status.code == 0);
    REQUIRE(bench.husk({"pause", id}).status.code == 0);
    CHECK(bench.status(id) == "paused");
    CHECK(bench.husk({"kill", id, "KILL"}).status.code == 0);
    bench.shell("while ! husk state " + id + " | grep -q '\"stopped\"'; do :; done");
    CHECK(bench.husk({"delete", id}).status.code == 0);
  }
}

// A kill or delete that thaws at that moment took the kernel's "frozen" away: pause waited ten seconds, with the lock.
TEST_CASE("pause beside a kill or delete: done, or not running, and never a wait for who is gone") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"});
    for (const std::string rival : {"kill $ID KILL", "kill -a $ID KILL", "kill -a $ID TERM", "delete -f $ID"})
      for (int round = 0; round < 15; ++round) {
        CAPTURE(rival);
        const auto done = bench.shell("ID=" + bench.id() + "; husk run -d -b " + bundle + " $ID >/dev/null 2>&1 </dev/null; husk pause $ID & husk " +
                                      rival + " 2>/dev/null; wait $!; husk delete -f $ID");
        CHECK_MESSAGE(done.status.code == 0, done.err);
        CHECK_MESSAGE(!contains(done.err, "did not reach"), done.err);
      }
    CHECK(bench.husk({"list", "-q"}).out.empty());
  }
}

TEST_CASE("a container without a cgroup: pause, ps and kill --all are refused, never done in name only") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  const auto bundle = bench.bundle({"/bin/sleep", "1000"});
  REQUIRE(bench.husk({"--cgroup-manager", "disabled", "run", "-d", "-b", bundle, id}).status.code == 0);
  using Words = std::vector<std::string>;
  for (const auto& words : {Words{"pause", id}, Words{"ps", id}, Words{"kill", "--all", id, "KILL"}}) {
    CAPTURE(words.front());
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "the container has no cgroup"), done.err);
    CHECK(bench.status(id) == "running");
  }
  CHECK(bench.husk({"kill", id, "KILL"}).status.code == 0);
  bench.shell("while ! husk state " + id + " | grep -q '\"stopped\"'; do :; done");
  CHECK(contains(bench.husk({"kill", "--all", id}).err, "no such process"));
  CHECK(bench.husk({"delete", id}).status.code == 0);
}

TEST_CASE("kill --all of a container whose cgroup is gone says that nobody runs, as callers expect") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  REQUIRE(bench.husk({"run", "--keep", "-b", bench.bundle({"/bin/true"}), id}).status.code == 0);
  const auto path = *bench.state(id).find("cgroupPath")->as_string();
  const auto removed = bench.shell("rmdir $(find /sys/fs/cgroup/ -type d -path '*" + path + "')");
  REQUIRE_MESSAGE(removed.status.code == 0, removed.err);
  const auto done = bench.husk({"kill", "--all", id, "KILL"});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "container not running: no such process"), done.err);
  CHECK(bench.husk({"delete", id}).status.code == 0);
}

TEST_CASE("delete --force ends a running and a paused container") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    for (const bool paused : {false, true}) {
      REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
      if (paused) REQUIRE(bench.husk({"pause", bench.id()}).status.code == 0);
      const auto deleted = bench.husk({"delete", "--force", bench.id()});
      CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
    }
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a pid that belongs to a later process is never taken for the container's") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), id}).status.code == 0);
  const auto file = bench.root() + "/" + id + "/state.json";
  // As if the container had ended and its pid had gone to a process that started later.
  bench.shell("sed -i 's/\"pidStartTime\":[0-9]*/\"pidStartTime\":1/' " + file);
  CHECK(bench.status(id) == "stopped");
  const auto late = bench.husk({"kill", id, "KILL"});
  CHECK(contains(late.err, "no such process"));
  CHECK(bench.husk({"delete", id}).status.code == 0);
}
