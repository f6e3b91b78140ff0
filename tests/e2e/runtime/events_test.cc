// husk events on the hierarchy that this machine has, and on cgroup2 where it has controllers.
#include <algorithm>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// Ends by SIGTERM too, so that the test does not depend on when the program is killed.
constexpr const char* kEater = "x=a; while :; do x=$x$x; done";

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("events --stats prints one line that tells memory, CPU and processes") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { spec.linux.resources.memory = oci::MemoryLimits{.limit = 32 << 20}; });
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  const auto done = bench.husk({"events", bench.id(), "--stats"});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(count(done.out, "\n") == 1);
  const auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  CHECK(*json.value().find("type")->as_string() == "stats");
  CHECK(*json.value().find("id")->as_string() == bench.id());
  const auto* data = json.value().find("data");
  CHECK(data->find("pids")->find("current")->as_uint64() == 1);
  CHECK(data->find("memory")->find("usage")->find("limit")->as_uint64() == 32 << 20);
  CHECK(data->find("memory")->find("usage")->find("usage")->as_uint64().value_or(0) > 0);
  CHECK(data->find("cpu")->find("usage")->find("total")->as_uint64().value_or(0) > 0);
  // User-mode Linux has no such controller.
  const bool has_cpuset = bench.shell("[ -d /sys/fs/cgroup/cpuset ] || grep -qw cpuset /sys/fs/cgroup/cgroup.controllers").status.code == 0;
  CHECK(data->find("cpuset")->find("cpus")->as_array()->empty() == !has_cpuset);
  CHECK(data->find("memory")->find("usage")->find("max")->as_uint64().value_or(0) >= data->find("memory")->find("raw")->find("rss")->as_uint64().value_or(1));
  CHECK(data->find("memory")->find("raw")->as_object()->size() > 20);
  CHECK(data->find("hugetlb")->is_object());
  CHECK(data->find("network_interfaces")->as_array()->empty());  // lo alone
  if (path_exists("/proc/pressure")) CHECK(data->find("cpu")->find("psi")->find("some")->find("total")->as_uint64().has_value());
}

TEST_CASE("events on a cgroup2 mount: pressure where the kernel has it, also without controllers") {
  REQUIRE_E2E();
  if (!path_exists("/proc/pressure")) HUSK_SKIP("this kernel counts no pressure (psi=0)");
  Bench bench{Hierarchy::unified};
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto done = bench.husk({"events", "--stats", bench.id()});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  const auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  for (const auto* part : {"cpu", "memory", "blkio"}) {
    CAPTURE(part);
    const auto* psi = json.value().find("data")->find(part)->find("psi");
    REQUIRE(psi != nullptr);
    CHECK(psi->find("full")->find("avg300")->as_double().has_value());
  }
}

TEST_CASE("events follows a container: statistics at each interval, and its end ends it") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto id = bench.id();
    REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), id}).status.code == 0);
    auto out = sys::pipe2();
    REQUIRE_OK(out);
    auto child = bench.start({"events", "--interval", "20ms", id}, {{.from = out.value().write_end.get(), .target = 1}});
    out.value().write_end.reset();
    std::string seen;
    while (count(seen, "\"type\":\"stats\"") < 3) {
      std::array<char, 4096> block{};
      const auto got = sys::read_some(out.value().read_end.get(), block);
      REQUIRE_OK(got);
      REQUIRE(got.value() > 0);
      seen.append(block.data(), got.value());
    }
    REQUIRE(bench.husk({"delete", "--force", id}).status.code == 0);
    CHECK(child.wait().value().code == 0);
  }
}

TEST_CASE("events tells an out-of-memory kill when it happens, without a look at the clock") {
  REQUIRE_E2E();
  Bench bench;
  const auto id = bench.id();
  const auto bundle = bench.shell_bundle(kEater, [](oci::Spec& spec) { spec.linux.resources.memory = oci::MemoryLimits{.limit = 16 << 20}; });
  REQUIRE(bench.husk({"create", "-b", bundle, id}).status.code == 0);
  auto out = sys::pipe2();
  REQUIRE_OK(out);
  auto child = bench.start({"events", "--interval", "1h", id}, {{.from = out.value().write_end.get(), .target = 1}});
  out.value().write_end.reset();
  std::array<char, 4096> first{};
  REQUIRE_OK(sys::read_some(out.value().read_end.get(), first));  // it watches by now
  REQUIRE(bench.husk({"start", id}).status.code == 0);
  const auto rest = read_all(out.value().read_end.get());
  REQUIRE_OK(rest);
  CHECK_MESSAGE(contains(rest.value(), "{\"type\":\"oom\",\"id\":\"" + id + "\"}\n"), rest.value());
  CHECK(child.wait().value().code == 0);
  CHECK(bench.husk({"wait", id}).status.code != 0);
}

TEST_CASE("events refuses bad intervals, and containers that are stopped or unknown") {
  REQUIRE_E2E();
  Bench bench;
  CHECK(contains(bench.husk({"events", "nobody"}).err, "does not exist"));
  CHECK(contains(bench.husk({"events", "--interval", "5", "nobody"}).err, "--interval"));
  CHECK(contains(bench.husk({"events", "--interval=0s", "nobody"}).err, "--interval"));
  const auto id = bench.id();
  REQUIRE(bench.husk({"run", "--keep", "-b", bench.bundle({"/bin/true"}), id}).status.code == 0);
  CHECK(contains(bench.husk({"events", "--stats", id}).err, "container not running"));
}
