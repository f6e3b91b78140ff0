// husk events: the shape of its lines, and its intervals.
#include "events.h"
#include "harness/harness.h"
#include "stats_json.h"

using namespace husk;
using namespace husk::runtime;

namespace {

// The member at "data/cpu/usage".
const oci::Json& at(const oci::Json& json, std::string_view path) {
  const auto* found = &json;
  for (const auto name : split(path, '/')) {
    found = found->find(name);
    REQUIRE_MESSAGE(found != nullptr, path);
  }
  return *found;
}

std::vector<std::string> names_of(const oci::Json& json) {
  std::vector<std::string> names;
  for (const auto& member : *json.as_object()) names.push_back(member.name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("events: the line of statistics has all members that runc's types/events.go names, even when all is 0") {
  const auto event = stats_event("a", {});
  CHECK(names_of(event) == Names{"type", "id", "data"});
  CHECK(names_of(at(event, "data")) ==
        Names{"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"});
  CHECK(names_of(at(event, "data/cpu")) == Names{"usage", "throttling", "burst"});
  CHECK(names_of(at(event, "data/cpu/usage")) == Names{"total", "kernel", "user"});
  CHECK(names_of(at(event, "data/cpu/throttling")) == Names{"periods", "throttledPeriods", "throttledTime"});
  CHECK(names_of(at(event, "data/memory")) == Names{"cache", "usage", "swap", "kernel", "kernelTCP", "raw"});
  for (const auto* entry : {"usage", "swap", "kernel", "kernelTCP"}) {
    const auto& memory = at(at(event, "data/memory"), entry);
    CHECK(names_of(memory) == Names{"limit", "usage", "max", "failcnt"});
    CHECK(at(memory, "limit").as_uint64() == cgroups::kUnlimited);
  }
  CHECK(at(event, "data/pids").find("limit") == nullptr);
  CHECK(at(event, "data/network_interfaces").as_array()->empty());
  CHECK(oom_event("a").dump() == R"({"type":"oom","id":"a"})");
}

TEST_CASE("events: numbers arrive at their members") {
  cgroups::Stats stats{.cpu = {.usage_ns = 5, .per_cpu_ns = {2, 3}, .throttled_ns = 6, .pressure = cgroups::Pressure{}}};
  stats.cpu.pressure->some.avg10 = 1.5;
  stats.cpu.pressure->full.total_us = 77;
  stats.cpuset = {.cpus = {0, 3}, .mems = {0}, .flags = {{"sched_relax_domain_level", -1}}};
  stats.memory.limit_bytes = 9;
  stats.memory.highest_bytes = 8;
  stats.memory.oom_kills = 2;
  stats.memory.details = {{"anon", 4}, {"rss", 11}};
  stats.memory.events = {{"oom_kill", 2}};
  stats.pids = {.current = 7, .limit = 0};
  stats.io.bytes = {{.major = 8, .minor = 16, .operation = "Read", .value = 12}};
  stats.huge_pages = {{.page_size = "2MB", .usage = {.now = 4096, .highest = 0, .limit = 0, .failures = 1}}};
  const auto event = stats_event("a", stats, {{.name = "eth0", .rx_bytes = 3, .tx_dropped = 4}});
  CHECK(at(event, "data/cpu/usage/percpu").dump() == "[2,3]");
  CHECK(at(event, "data/cpu/psi/some/avg10").as_double() == 1.5);
  CHECK(at(event, "data/cpu/psi/full/total").as_uint64() == 77);
  CHECK(at(event, "data/cpuset").dump() == R"({"cpus":[0,3],"mems":[0],"sched_relax_domain_level":-1})");
  CHECK(at(event, "data/memory/usage").dump() == R"({"limit":9,"usage":0,"max":8,"failcnt":0})");
  CHECK(at(event, "data/memory/raw/rss").as_uint64() == 11);
  CHECK(at(event, "data/memory/raw/oom_kill").as_uint64() == 2);
  CHECK(at(event, "data/memory/events/oom_kill").as_uint64() == 2);
  CHECK(at(event, "data/pids").dump() == R"({"current":7,"limit":0})");
  CHECK(at(event, "data/blkio/ioServiceBytesRecursive").dump() == R"([{"major":8,"minor":16,"op":"Read","value":12}])");
  CHECK(at(event, "data/hugetlb/2MB").dump() == R"({"limit":0,"usage":4096,"max":0,"failcnt":1})");
  CHECK(at(event, "data/network_interfaces").dump() ==
        R"([{"Name":"eth0","RxBytes":3,"RxPackets":0,"RxErrors":0,"RxDropped":0,"TxBytes":0,"TxPackets":0,"TxErrors":0,"TxDropped":4}])");
}

TEST_CASE("events: /proc/net/dev is read without lo, and names may hold a colon") {
  const auto found = parse_interfaces(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
      "    lo:  100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n"
      "eth0:1:  10       2    3    4    5     6          7         8      9       11    12    13    14     15       16          17\n"
      " short: 1 2\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "eth0:1");
  CHECK(found[0].rx_bytes == 10);
  CHECK(found[0].rx_dropped == 4);
  CHECK(found[0].tx_bytes == 9);
  CHECK(found[0].tx_dropped == 13);
}

TEST_CASE("events: an interval is a Go duration above 0") {
  struct Row {
    std::string_view text;
    std::int64_t ns;
  };
  for (const auto& row : {Row{"5s", 5'000'000'000}, Row{"1m30s", 90'000'000'000}, Row{"250ms", 250'000'000}, Row{"1h", 3'600'000'000'000},
                          Row{"7us", 7000}, Row{"1ns", 1}}) {
    CAPTURE(row.text);
    const auto parsed = parse_interval(row.text);
    REQUIRE_OK(parsed);
    CHECK(parsed.value() == row.ns);
  }
  for (const auto* text : {"", "5", "s", "0s", "-5s", "5s ", "5x", "99999999999s", "4000000000h", "4294967295h4294967295h"}) {
    CAPTURE(text);
    CHECK(!parse_interval(text).has_value());
  }
}
