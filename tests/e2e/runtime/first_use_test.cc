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
