// Source: cgroup-v2.rst, the "Interface Files" of each controller.
#include "base/clock.h"
#include "base/format.h"
#include "cgroups/control_file.h"
#include "cgroups/stat_text.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups::v2 {
namespace {

constexpr std::uint64_t kNsPerUs = 1000;

// Limits of both parts, as cgroup v1 and its readers count: none when one of them is none.
std::uint64_t add_limits(std::uint64_t a, std::uint64_t b) {
  return a == kUnlimited || b == kUnlimited ? kUnlimited : a + b;
}

void read_cpu(const std::string& directory, Stats& stats) {
  const auto text = read_text(directory + "/cpu.stat");
  auto& cpu = stats.cpu;
  cpu.usage_ns = keyed_number(text, "usage_usec") * kNsPerUs;
  cpu.user_ns = keyed_number(text, "user_usec") * kNsPerUs;
  cpu.kernel_ns = keyed_number(text, "system_usec") * kNsPerUs;
  cpu.periods = keyed_number(text, "nr_periods");
  cpu.throttled_periods = keyed_number(text, "nr_throttled");
  cpu.throttled_ns = keyed_number(text, "throttled_usec") * kNsPerUs;
  cpu.bursts = keyed_number(text, "nr_bursts");
  cpu.burst_ns = keyed_number(text, "burst_usec") * kNsPerUs;
  cpu.pressure = parse_pressure(read_text(directory + "/cpu.pressure"));
  stats.cpuset.cpus = parse_number_list(read_text(directory + "/cpuset.cpus.effective"));
  stats.cpuset.mems = parse_number_list(read_text(directory + "/cpuset.mems.effective"));
}

void read_swap(const std::string& directory, MemoryStats& memory) {
  const auto limit = read_text(directory + "/memory.swap.max");
  memory.swap_bytes = read_number(directory + "/memory.swap.current");
  if (!limit.empty() && parse_limit(limit) != kUnlimited) memory.swap_limit_bytes = parse_limit(limit);
  memory.with_swap = {.now = memory.usage_bytes + memory.swap_bytes,
                      .highest = 0,  // the peaks of both need not have been at one time
                      .limit = add_limits(memory.limit_bytes == 0 ? kUnlimited : memory.limit_bytes,
                                          limit.empty() ? kUnlimited : parse_limit(limit)),
                      .failures = keyed_number(read_text(directory + "/memory.swap.events"), "fail")};
}

void read_memory(const std::string& directory, MemoryStats& memory) {
  memory.usage_bytes = read_number(directory + "/memory.current");
  memory.highest_bytes = read_number(directory + "/memory.peak");  // since kernel 5.19
  memory.limit_bytes = read_number(directory + "/memory.max");
  memory.events = parse_named_numbers(read_text(directory + "/memory.events"));
  for (const auto& [name, count] : memory.events) {
    if (name == "oom_kill") memory.oom_kills = count;
    if (name == "max") memory.limit_hits = count;
  }
  const auto text = read_text(directory + "/memory.stat");
  memory.details = parse_named_numbers(text);
  const auto inactive = keyed_number(text, "inactive_file");
  memory.working_set_bytes = memory.usage_bytes > inactive ? memory.usage_bytes - inactive : 0;
  memory.rss_bytes = keyed_number(text, "anon");
  memory.cache_bytes = keyed_number(text, "file");
  memory.page_faults = keyed_number(text, "pgfault");
  memory.major_page_faults = keyed_number(text, "pgmajfault");
  memory.kernel.now = keyed_number(text, "kernel");  // since kernel 5.18
  memory.pressure = parse_pressure(read_text(directory + "/memory.pressure"));
  read_swap(directory, memory);
}

void read_huge_pages(const std::string& directory, std::vector<HugePageStats>& all) {
  for (auto& size : read_huge_page_sizes()) {
    const auto name = format_text("{}/hugetlb.{}.", directory, size);
    const auto current = read_text(name + "current");
    if (current.empty()) continue;  // the controller is not enabled here
    all.push_back({.page_size = std::move(size),
                   .usage = {.now = parse_limit(current),
                             .highest = 0,
                             .limit = parse_limit(read_text(name + "max")),
                             .failures = keyed_number(read_text(name + "events"), "max")}});
  }
}

}  // namespace

Stats read_stats(const std::string& directory) {
  Stats stats{.timestamp_ns = now_unix_ns()};
  read_cpu(directory, stats);
  read_memory(directory, stats.memory);
  stats.pids = {.current = read_number(directory + "/pids.current"), .limit = parse_limit(read_text(directory + "/pids.max"))};
  add_io_stat(stats.io, read_text(directory + "/io.stat"));
  stats.io.pressure = parse_pressure(read_text(directory + "/io.pressure"));
  read_huge_pages(directory, stats.huge_pages);
  return stats;
}

}  // namespace husk::cgroups::v2
