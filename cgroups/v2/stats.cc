// Source: cgroup-v2.rst, "cpu.stat", "memory.stat", "memory.events".
#include "base/clock.h"
#include "cgroups/control_file.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups::v2 {

Stats read_stats(const std::string& directory) {
  constexpr std::uint64_t kNsPerUs = 1000;
  Stats stats{.timestamp_ns = now_unix_ns()};
  const auto cpu = read_text(directory + "/cpu.stat");
  stats.cpu_usage_ns = keyed_number(cpu, "usage_usec") * kNsPerUs;
  stats.cpu_throttled_ns = keyed_number(cpu, "throttled_usec") * kNsPerUs;
  stats.pids = read_number(directory + "/pids.current");
  auto& memory = stats.memory;
  memory.usage_bytes = read_number(directory + "/memory.current");
  memory.limit_bytes = read_number(directory + "/memory.max");
  memory.swap_bytes = read_number(directory + "/memory.swap.current");
  memory.oom_kills = keyed_number(read_text(directory + "/memory.events"), "oom_kill");
  const auto details = read_text(directory + "/memory.stat");
  const auto inactive = keyed_number(details, "inactive_file");
  memory.working_set_bytes = memory.usage_bytes > inactive ? memory.usage_bytes - inactive : 0;
  memory.rss_bytes = keyed_number(details, "anon");
  memory.page_faults = keyed_number(details, "pgfault");
  memory.major_page_faults = keyed_number(details, "pgmajfault");
  return stats;
}

}  // namespace husk::cgroups::v2
