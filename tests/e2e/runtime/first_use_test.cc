// What somebody meets who uses husk for the first time: wrong forms, wrong places, and what is said then.
#include <signal.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// For timeout(1), which knows no functions of the shell.
std::string program(const Bench& bench) { return husk_binary() + " --root " + bench.root(); }

}  // namespace

TEST_CASE("update --resources: a whole config.json, its resources by name and unknown members are errors, {} and null are none") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto update = [&](const std::string& json) { return bench.shell("echo '" + json + "' | husk update -r - " + bench.id()); };
  for (const std::string json : {R"({"resources":{"pids":{"limit":5}}})", R"({"linux":{"resources":{"pids":{"limit":5}}}})", R"({"pid":{"limit":5}})"}) {
    CAPTURE(json);
    const auto done = update(json);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "the members of linux.resources"), done.err);
  }
  for (const std::string json : {"{}", R"({"pids":null})", R"({"pids":{"limit":33},"later":{}})"}) {
    CAPTURE(json);
    const auto done = update(json);
    CHECK_MESSAGE(done.status.code == 0, done.err);
  }
  CHECK(contains(read_file(bench.root() + "/" + bench.id() + "/config.json").value(), "\"pids\":{\"limit\":33}"));
}

TEST_CASE("--debug tells the steps of each verb, one JSON object in each line of the log; without it there is not a word") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/true"}};
  });
  const auto log = bench.path("steps");
  struct Row {
    std::vector<std::string> words;
    std::string step;
  };
  for (const auto& row : {Row{{"create", "-b", bundle, bench.id()}, "createRuntime hooks run"}, Row{{"start", bench.id()}, "the program runs"},
                          Row{{"exec", bench.id(), "/bin/true"}, "enters namespaces"}, Row{{"update", "--pids-limit", "9", bench.id()}, "of cgroup"},
                          Row{{"delete", "-f", bench.id()}, "is killed"}}) {
    CAPTURE(row.step);
    std::vector<std::string> words{"--debug", "--log", log, "--log-format", "json"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const auto done = bench.husk(words);
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK_MESSAGE(contains(done.err, row.step), done.err);
    const auto text = read_file(log);
    REQUIRE_OK(text);
    CHECK_MESSAGE(contains(text.value(), row.step), text.value());
    for (const auto line : split(trim(text.value()), '\n')) {
      const auto json = oci::parse_json(line);
      REQUIRE_OK(json);
      CHECK(*json.value().find("level")->as_string() == "debug");
    }
  }
  const auto quiet = bench.husk({"--log", bench.path("quiet"), "run", "-b", bench.bundle({"/bin/true"}), bench.id("d")});
  CHECK(quiet.status.code == 0);
  CHECK(quiet.err.empty());
  CHECK(read_file(bench.path("quiet")).value().empty());
}

TEST_CASE("delete --force ends a create that waits for a hook, and its hook; nothing is left") {
  REQUIRE_E2E();
  for (const auto member : {&oci::Hooks::prestart, &oci::Hooks::create_runtime}) {
    Bench bench;
    const auto before = bench.world();
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
      spec.hooks.*member = {{.path = "/bin/sh", .args = {"sh", "-c", "echo $$ > " + bench.path("hook") + "; exec sleep 1000"}, .env = {"PATH=/usr/bin:/bin"}}};
    });
    auto create = bench.start({"create", "-b", bundle, bench.id()}, {});
    REQUIRE(bench.shell("for i in $(seq 600); do test -s " + bench.path("hook") + " && exit; sleep 0.1; done; exit 1").status.code == 0);
    const auto done = bench.shell("timeout 60 " + program(bench) + " delete --force " + bench.id());  // the hook takes longer
    CHECK_MESSAGE(done.status.code == 0, done.err);
    const auto ended = create.wait_for(60'000);
    REQUIRE_OK(ended);
    REQUIRE(ended.value().has_value());
    CHECK(ended.value()->code == 1);
    CHECK(bench.shell("kill -0 $(cat " + bench.path("hook") + ")").status.code != 0);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("run ends by SIGTERM while it waits for a config.json that is a FIFO, and reads one that is written") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/echo", "read"});
  const auto fifo = bench.path("fifo");
  REQUIRE(bench.shell("mkfifo " + fifo).status.code == 0);
  const auto ended = bench.shell("timeout -k 60 -s TERM 1 " + program(bench) + " run -b " + bundle + " -f " + fifo + " " + bench.id());
  CHECK(ended.status.code == 124);  // 137: it had to be killed
  const auto read = bench.shell("cat " + bundle + "/config.json > " + fifo + " & timeout 60 " + program(bench) + " run -b " + bundle + " -f " + fifo + " " + bench.id());
  CHECK_MESSAGE(read.out == "read\n", read.err);
}

TEST_CASE("--config: - is standard input; another descriptor of the caller is refused with the reason") {
  REQUIRE_E2E();
  Bench bench;
  // Without a pid namespace of its own husk starts anew, from a read-only mount: before it reads.
  for (const bool own_pids : {true, false}) {
    CAPTURE(own_pids);
    const auto bundle = bench.bundle({"/bin/echo", "read"}, [&](oci::Spec& spec) {
      if (!own_pids) std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::pid; });
    });
    const auto run = " run -b " + bundle + " -f ";
    const auto piped = bench.shell("cat " + bundle + "/config.json | husk" + run + "- " + bench.id());
    CHECK_MESSAGE(piped.out == "read\n", piped.err);
    for (const std::string path : {"/dev/fd/7", "/proc/self/fd/7"}) {
      const auto refused = bench.shell("exec 7<" + bundle + "/config.json; husk" + run + path + " " + bench.id());
      CHECK(refused.status.code == 1);
      CHECK_MESSAGE(contains(refused.err, "or - for standard input"), refused.err);
    }
  }
}

TEST_CASE("an option for all verbs behind the verb: the error says where it stands") {
  REQUIRE_E2E();
  Bench bench;
  for (const std::string word : {"--root", "--log-format=json", "-debug"}) {
    const auto done = bench.husk({"run", word, "x", bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "stand before the verb: husk -"), done.err);
  }
  CHECK(contains(bench.husk({"run", "--nonsense", bench.id()}).err, "see --help"));
}

TEST_CASE("a state directory that is empty, or whose record is damaged: all verbs name the remedy, and it helps") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"});
  const auto directory = bench.root() + "/" + bench.id();
  const std::vector<std::vector<std::string>> verbs{{"state", bench.id()},        {"start", bench.id()},  {"kill", bench.id()},
                                                    {"exec", bench.id(), "true"}, {"delete", bench.id()}, {"create", "-b", bundle, bench.id()}};
  for (const bool damaged : {false, true}) {
    CAPTURE(damaged);
    REQUIRE_OK(make_directories(directory));
    if (damaged) REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/state.json", "{"));
    if (damaged) REQUIRE(bench.shell("cp " + bundle + "/config.json " + directory).status.code == 0);
    for (const auto& words : verbs) {
      CAPTURE(words.front());
      const auto done = bench.husk(words);
      CHECK(done.status.code == 1);
      CHECK_MESSAGE(contains(done.err, "husk delete --force"), done.err);
    }
    CHECK(bench.husk({"delete", "--force", bench.id()}).status.code == 0);
    CHECK(!path_exists(directory));
  }
}

TEST_CASE("an empty program name, a sysctl, a hook and a pid file that cannot be: what to look at is said") {
  REQUIRE_E2E();
  Bench bench;
  const auto said = [&](const Change& change, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"run", "-b", bench.bundle({"/bin/true"}, change), bench.id()};
    words.insert(words.end(), more.begin(), more.end());
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    return done.err;
  };
  CHECK(contains(said([](oci::Spec& spec) { spec.process->args = {""}; }), "\"/process/args/0\" is empty"));
  CHECK(contains(said([](oci::Spec& spec) { spec.linux.sysctl = {{"net.core.nothing", "1"}}; }), "this kernel has no such sysctl"));
  CHECK(contains(said([](oci::Spec& spec) { spec.linux.sysctl = {{"net.core.somaxconn", "abc"}}; }), "it does not take this value"));
  CHECK(contains(said([](oci::Spec& spec) { spec.hooks.create_runtime = {{.path = "/nowhere"}}; }), "is an absolute path to a program"));
  CHECK(contains(said({}, {"--pid-file", "/nowhere/pid"}), "--pid-file must name"));
}
