// The forms of statistics files, as the kernel writes them.
#include "cgroups/stat_text.h"

#include "cgroups/v2/cgroup_v2.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;

TEST_CASE("psi.rst: shares in percent, time in microseconds; a kernel without PSI has none") {
  const auto pressure = parse_pressure("some avg10=1.05 avg60=22.10 avg300=100.00 total=123456\n"
                                       "full avg10=0.00 avg60=0.01 avg300=0.99 total=7\n");
  REQUIRE(pressure.has_value());
  CHECK(pressure->some.avg10 == doctest::Approx(1.05));
  CHECK(pressure->some.avg60 == doctest::Approx(22.1));
  CHECK(pressure->some.avg300 == doctest::Approx(100));
  CHECK(pressure->some.total_us == 123456);
  CHECK(pressure->full.avg300 == doctest::Approx(0.99));
  CHECK(pressure->full.total_us == 7);
  CHECK(!parse_pressure("").has_value());
  CHECK(parse_pressure("some avg10=x total=\n")->some.total_us == 0);
}

TEST_CASE("cgroup-v2.rst io.stat: bytes and operations by device and direction; empty devices are left out") {
  IoStats io;
  add_io_stat(io, "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=9\n8:0 \n253:1 wbytes=7\nnonsense\n");
  REQUIRE(io.bytes.size() == 4);
  REQUIRE(io.operations.size() == 3);
  CHECK(io.bytes[0].operation == "Read");
  CHECK(io.bytes[1].value == 2);
  CHECK(io.bytes[2].operation == "Discard");
  CHECK(io.bytes[3].major == 253);
  CHECK(io.operations[1].value == 4);
  CHECK(io.operations[1].minor == 16);
}

TEST_CASE("blkio-controller.rst: one line a device and direction; the total belongs to no device") {
  const auto entries = parse_blkio("8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n9:1 5\nTotal 35\n");
  REQUIRE(entries.size() == 4);
  CHECK(entries[1].operation == "Write");
  CHECK(entries[1].value == 20);
  CHECK(entries[3].operation.empty());
  CHECK(entries[3].major == 9);
  CHECK(parse_blkio("").empty());
}

TEST_CASE("statistics: lists, counts and limits") {
  CHECK(parse_number_list("0-3,7\n") == std::vector<std::uint32_t>{0, 1, 2, 3, 7});
  CHECK(parse_number_list("\n").empty());
  CHECK(parse_number_list("0-4294967295").size() == 8192);
  CHECK(parse_numbers("1 2 3 \n") == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(parse_named_numbers("anon 5\nfile 6\nbroken\nlow max\n") == NamedNumbers{{"anon", 5}, {"file", 6}});
  CHECK(parse_limit("max\n") == kUnlimited);
  CHECK(parse_limit("") == kUnlimited);
  CHECK(parse_limit("0\n") == 0);
}

TEST_CASE("cgroup-v2.rst: every file arrives at its number") {
  test::TempDir directory;
  const std::pair<const char*, const char*> files[] = {
      {"cpu.stat", "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 5\nnr_bursts 1\nburst_usec 8\n"},
      {"cpu.pressure", "some avg10=0.50 avg60=0.00 avg300=0.00 total=9\n"},
      {"cpuset.cpus.effective", "0-1\n"},
      {"memory.current", "1000\n"},
      {"memory.peak", "2000\n"},
      {"memory.max", "4000\n"},
      {"memory.swap.current", "50\n"},
      {"memory.swap.max", "100\n"},
      {"memory.events", "low 0\nhigh 1\nmax 6\noom 3\noom_kill 2\n"},
      {"memory.stat", "anon 300\nfile 400\nkernel 70\ninactive_file 100\npgfault 11\npgmajfault 12\n"},
      {"pids.current", "4\n"},
      {"pids.max", "max\n"},
      {"io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"}};
  for (const auto& [name, text] : files) REQUIRE_OK(write_atomically(AT_FDCWD, directory / name, text));
  const auto stats = v2::read_stats(directory.path());
  CHECK(stats.cpu.usage_ns == 10000);
  CHECK(stats.cpu.kernel_ns == 4000);
  CHECK(stats.cpu.throttled_periods == 2);
  CHECK(stats.cpu.throttled_ns == 5000);
  CHECK(stats.cpu.burst_ns == 8000);
  CHECK(stats.cpu.pressure->some.total_us == 9);
  CHECK(stats.cpuset.cpus.size() == 2);
  CHECK(stats.memory.highest_bytes == 2000);
  CHECK(stats.memory.limit_hits == 6);
  CHECK(stats.memory.oom_kills == 2);
  CHECK(stats.memory.working_set_bytes == 900);
  CHECK(stats.memory.rss_bytes == 300);
  CHECK(stats.memory.cache_bytes == 400);
  CHECK(stats.memory.swap_limit_bytes == 100);
  CHECK(stats.memory.with_swap.now == 1050);
  CHECK(stats.memory.with_swap.limit == 4100);
  CHECK(stats.memory.kernel.now == 70);
  CHECK(!stats.memory.pressure.has_value());
  CHECK(stats.pids.current == 4);
  CHECK(stats.pids.limit == kUnlimited);
  CHECK(stats.io.bytes.size() == 3);
}
