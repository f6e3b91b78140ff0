#include "cgroups/control_file.h"

#include "cgroups/v2/controllers.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;

namespace {

void put(const std::string& path, const std::string& text) {
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
}

}  // namespace

TEST_CASE("an optional file that is absent is skipped, and its alternative is written") {
  test::TempDir directory;
  put(directory / "io.weight", "");
  REQUIRE_OK(write_targets({{directory / "io.bfq.weight", "100", Need::if_present},
                            {directory / "io.weight", "910", Need::otherwise}}));
  CHECK(read_text(directory / "io.weight") == "910");
  put(directory / "io.bfq.weight", "");
  put(directory / "io.weight", "old");
  REQUIRE_OK(write_targets({{directory / "io.bfq.weight", "100", Need::if_present},
                            {directory / "io.weight", "910", Need::otherwise}}));
  CHECK(read_text(directory / "io.bfq.weight") == "100");
  CHECK(read_text(directory / "io.weight") == "old");
}

TEST_CASE("a missing control file is an error that names the controller and where to look") {
  test::TempDir directory;
  const auto done = write_targets({{directory / "memory.max", "1"}});
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().kind() == Kind::unsupported);
  const auto text = done.error().to_string();
  CHECK(text.find("\"memory\"") != std::string::npos);
  CHECK(text.find("cgroup.controllers") != std::string::npos);
}

TEST_CASE("an update that fails half way puts the earlier values back") {
  test::TempDir directory;
  put(directory / "pids.max", "100\n");
  put(directory / "cpu.weight", "80\n");
  const auto done = replace_targets(
      {{directory / "pids.max", "200"}, {directory / "cpu.weight", "90"}, {directory / "memory.max", "1"}});
  REQUIRE_FALSE(done.has_value());
  CHECK(read_text(directory / "pids.max").starts_with("100"));
  CHECK(read_text(directory / "cpu.weight").starts_with("80"));
}

TEST_CASE("texts of control files: numbers, keys and words") {
  CHECK(keyed_number("usage_usec 12\nuser_usec 7\n", "user_usec") == 7);
  CHECK(keyed_number("usage_usec 12\n", "usage") == 0);
  CHECK(keyed_number("oom 1\noom_kill 3", "oom_kill") == 3);
  CHECK(keyed_number("", "a") == 0);
  CHECK(keyed_number("a x\n", "a") == 0);
  CHECK(has_word("cpu io memory\n", "memory"));
  CHECK(has_word("cpuset cpu", "cpu"));
  CHECK_FALSE(has_word("cpuset", "cpu"));
  CHECK_FALSE(has_word("", "cpu"));
  CHECK(read_number("/nonexistent") == 0);
}

TEST_CASE("cgroup-v2.rst: the controllers that a list of files needs") {
  CHECK(v2::needed_controllers({{"memory.max", "1"},
                                {"memory.swap.max", "max", Need::if_present},
                                {"cgroup.max.depth", "3"},
                                {"io.bfq.weight", "1", Need::if_present},
                                {"io.weight", "1", Need::otherwise},
                                {"memory.low", "1"}}) == std::vector<std::string>{"memory", "io"});
  CHECK(v2::needed_controllers({{"cpu.pressure", "some 150000 1000000"}, {"cpu.stat", ""}}).empty());
}
