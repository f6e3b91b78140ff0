// Source: cgroup-v1/memory.rst section 5.2 (total_* includes sub-cgroups), cgroup-v1/cpuacct.rst.
#include "base/clock.h"
#include "cgroups/control_file.h"
#include "cgroups/v1/cgroup_v1.h"

namespace husk::cgroups::v1 {
namespace {

// "No limit" is LONG_MAX rounded down to a page.
constexpr std::uint64_t kLeastUnlimited = 0x7fffffffffff0000U;

// "" when the controller is not mounted: its files then read as absent.
std::string directory_of(const std::vector<Hierarchy>& hierarchies, const char* controller, const std::string& path) {
  const auto* hierarchy = find_hierarchy(hierarchies, controller);
  return hierarchy == nullptr ? std::string{"/nonexistent"} : hierarchy->mount + path;
}

}  // namespace

Stats read_stats(const std::vector<Hierarchy>& hierarchies, const std::string& path) {
  Stats stats{.timestamp_ns = now_unix_ns()};
  stats.cpu_usage_ns = read_number(directory_of(hierarchies, "cpuacct", path) + "/cpuacct.usage");
  stats.cpu_throttled_ns =
      keyed_number(read_text(directory_of(hierarchies, "cpu", path) + "/cpu.stat"), "throttled_time");
  stats.pids = read_number(directory_of(hierarchies, "pids", path) + "/pids.current");
  const auto directory = directory_of(hierarchies, "memory", path);
  auto& memory = stats.memory;
  memory.usage_bytes = read_number(directory + "/memory.usage_in_bytes");
  const auto limit = read_number(directory + "/memory.limit_in_bytes");
  memory.limit_bytes = limit >= kLeastUnlimited ? 0 : limit;
  memory.oom_kills = keyed_number(read_text(directory + "/memory.oom_control"), "oom_kill");
  const auto details = read_text(directory + "/memory.stat");
  const auto inactive = keyed_number(details, "total_inactive_file");
  memory.working_set_bytes = memory.usage_bytes > inactive ? memory.usage_bytes - inactive : 0;
  memory.rss_bytes = keyed_number(details, "total_rss");
  memory.swap_bytes = keyed_number(details, "total_swap");
  memory.page_faults = keyed_number(details, "total_pgfault");
  memory.major_page_faults = keyed_number(details, "total_pgmajfault");
  return stats;
}

std::uint64_t read_oom_kills(const std::string& path) {
  const auto hierarchies = read_hierarchies();
  if (!hierarchies.has_value()) return 0;
  return keyed_number(read_text(directory_of(hierarchies.value(), "memory", path) + "/memory.oom_control"), "oom_kill");
}

}  // namespace husk::cgroups::v1
