#include "cgroups/control_file.h"

#include "base/sys.h"
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

TEST_CASE("a refused limit is an error that names the field of the configuration and the file") {
  test::TempDir directory;
  const auto error = [&](const std::string& file, const char* field) {
    REQUIRE_OK(sys::mkdirat(AT_FDCWD, directory / file, 0700));  // EISDIR
    const auto done = write_targets({{directory / file, "1", Need::required, field}});
    REQUIRE_FALSE(done.has_value());
    const auto text = done.error().to_string();
    CHECK(text.find(directory / file) != std::string::npos);
    return text;
  };
  CHECK(error("memory.max", "memory/limit").starts_with("\"/linux/resources/memory/limit\": "));
  CHECK(error("memory.high", "unified/memory.high").starts_with("\"/linux/resources/unified/memory.high\": "));
  CHECK_FALSE(error("cgroup.freeze", "").starts_with("\"/linux"));  // no limit
  const auto absent = write_targets({{directory / "pids.max", "1", Need::required, "pids/limit"}});
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().to_string().starts_with("\"/linux/resources/pids/limit\": "));
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

TEST_CASE("an update that fails at any file, or after all of them, leaves every earlier value and says which file it was") {
  const std::vector<Target> wanted{{"memory.max", "200"}, {"memory.swap.max", "0"}, {"memory.low", "50"},
                                   {"cpu.weight", "20"},  {"cpu.max", "5 10"},      {"pids.max", "7"},
                                   {"io.weight", "300"},  {"cpuset.cpus", "0-1"}};
  for (std::size_t bad = 0; bad <= wanted.size(); ++bad) {
    CAPTURE(bad);
    test::TempDir directory;
    std::vector<Target> targets;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto path = directory / wanted[i].path;
      targets.push_back({path, wanted[i].value});
      if (i == bad) {
        REQUIRE_OK(sys::mkdirat(AT_FDCWD, path, 0700));  // EISDIR
      } else {
        put(path, "old" + std::to_string(i));
      }
    }
    const auto done = replace_targets(targets, []() -> Status { return Error{Kind::internal, "the last step"}; });
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().to_string().find(bad == wanted.size() ? "the last step" : wanted[bad].path) != std::string::npos);
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (i != bad) CHECK(read_text(targets[i].path).starts_with("old" + std::to_string(i)));
  }
}

TEST_CASE("a line of a device, an interface or a resource goes back alone, or to no limit when there was none") {
  struct Row {
    const char* file;
    const char* before;
    const char* written;
    const char* after;
  };
  for (const auto& row : {Row{"io.max", "8:0 rbps=1 wbps=max\n8:16 rbps=2\n", "8:16 rbps=9", "8:16 rbps=2"},
                          Row{"io.max", "8:0 rbps=1\n", "8:16 wiops=9", "8:16 rbps=max wbps=max riops=max wiops=max"},
                          Row{"io.weight", "default 100\n8:0 200\n", "300", "default 100"},
                          Row{"io.weight", "default 100\n8:0 200\n", "8:16 300", "8:16 default"},
                          Row{"io.bfq.weight", "100\n", "300", "100"},
                          Row{"io.latency", "", "8:0 target=5", "8:0 target=0"},
                          Row{"rdma.max", "mlx5_0 hca_handle=max hca_object=3\n", "mlx5_0 hca_object=9", "mlx5_0 hca_handle=max hca_object=3"},
                          Row{"misc.max", "sev 3\nsev_es max\n", "sev_es 1", "sev_es max"},
                          Row{"net_prio.ifpriomap", "lo 0\neth0 4\n", "eth0 9", "eth0 4"},
                          Row{"blkio.throttle.read_bps_device", "", "8:0 1", "8:0 0"},
                          Row{"blkio.bfq.weight_device", "100\n8:16 200\n", "8:0 300", "8:0 default"},
                          Row{"memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", "1", "0"},
                          Row{"cpu.max", "max 100000\n", "5000 100000", "max 100000"}}) {
    CAPTURE(row.file);
    CAPTURE(row.written);
    test::TempDir directory;
    put(directory / row.file, row.before);
    const auto done = replace_targets({{directory / row.file, row.written}, {directory / "gone.max", "1"}});
    REQUIRE_FALSE(done.has_value());
    // A plain file keeps what is written over its beginning; the kernel's takes each write for itself.
    CHECK(read_text(directory / row.file).starts_with(row.after));
  }
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
