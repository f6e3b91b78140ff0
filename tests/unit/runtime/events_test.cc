// husk events: the shape of its lines, and its intervals.
#include "events.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::runtime;

TEST_CASE("events: the line of statistics has runc's members, and no limit when there is none") {
  cgroups::Stats stats{.cpu_usage_ns = 5, .cpu_throttled_ns = 6, .pids = 7};
  stats.memory.usage_bytes = 8;
  stats.memory.oom_kills = 2;
  CHECK(stats_event("a", stats).dump() ==
        R"({"type":"stats","id":"a","data":{"cpu":{"usage":{"total":5},"throttling":{"throttledTime":6}},)"
        R"("memory":{"usage":{"usage":8},"swap":{"usage":0},"raw":{"rss":0,"working_set":0,"swap":0,"pgfault":0,)"
        R"("pgmajfault":0,"oom_kill":2}},"pids":{"current":7}}})");
  stats.memory.limit_bytes = 9;
  CHECK(stats_event("a", stats).find("data")->find("memory")->find("usage")->find("limit")->as_uint64() == 9);
  CHECK(oom_event("a").dump() == R"({"type":"oom","id":"a"})");
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
