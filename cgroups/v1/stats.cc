// Source: cgroup-v1/memory.rst section 5.2 (total_* includes sub-cgroups), cgroup-v1/cpuacct.rst,
// cgroup-v1/blkio-controller.rst, cgroup-v1/cpusets.rst section 1.4, cgroup-v1/hugetlb.rst.
#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/format.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "cgroups/stat_text.h"
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

// "memory.memsw." → usage_in_bytes, max_usage_in_bytes, limit_in_bytes, failcnt.
Usage read_usage(const std::string& prefix) {
  const auto limit = parse_limit(read_text(prefix + "limit_in_bytes"));
  return {.now = read_number(prefix + "usage_in_bytes"),
          .highest = read_number(prefix + "max_usage_in_bytes"),
          .limit = limit >= kLeastUnlimited ? kUnlimited : limit,
          .failures = read_number(prefix + "failcnt")};
}

void read_cpu(const std::string& accounting, const std::string& quota, CpuStats& cpu) {
  cpu.usage_ns = read_number(accounting + "/cpuacct.usage");
  cpu.user_ns = read_number(accounting + "/cpuacct.usage_user");
  cpu.kernel_ns = read_number(accounting + "/cpuacct.usage_sys");
  cpu.per_cpu_ns = parse_numbers(read_text(accounting + "/cpuacct.usage_percpu"));
  cpu.per_cpu_kernel_ns = parse_numbers(read_text(accounting + "/cpuacct.usage_percpu_sys"));
  cpu.per_cpu_user_ns = parse_numbers(read_text(accounting + "/cpuacct.usage_percpu_user"));
  const auto text = read_text(quota + "/cpu.stat");
  cpu.periods = keyed_number(text, "nr_periods");
  cpu.throttled_periods = keyed_number(text, "nr_throttled");
  cpu.throttled_ns = keyed_number(text, "throttled_time");
  cpu.bursts = keyed_number(text, "nr_bursts");
  cpu.burst_ns = keyed_number(text, "burst_time");
}

void read_cpuset(const std::string& directory, CpusetStats& cpuset) {
  constexpr std::array kFlags{"cpu_exclusive",      "mem_hardwall",       "mem_exclusive",
                              "memory_migrate",     "memory_spread_page", "memory_spread_slab",
                              "memory_pressure",    "sched_load_balance", "sched_relax_domain_level"};
  cpuset.cpus = parse_number_list(read_text(directory + "/cpuset.effective_cpus"));
  cpuset.mems = parse_number_list(read_text(directory + "/cpuset.effective_mems"));
  for (const auto* flag : kFlags) {
    const auto number = parse_int64(trim(read_text(format_text("{}/cpuset.{}", directory, flag))));
    if (number.has_value()) cpuset.flags.emplace_back(flag, number.value());
  }
}

void read_memory(const std::string& directory, MemoryStats& memory) {
  const auto usage = read_usage(directory + "/memory.");
  memory.usage_bytes = usage.now;
  memory.highest_bytes = usage.highest;
  memory.limit_bytes = usage.limit == kUnlimited ? 0 : usage.limit;
  memory.limit_hits = usage.failures;
  memory.oom_kills = keyed_number(read_text(directory + "/memory.oom_control"), "oom_kill");
  const auto text = read_text(directory + "/memory.stat");
  memory.details = parse_named_numbers(text);
  const auto inactive = keyed_number(text, "total_inactive_file");
  memory.working_set_bytes = memory.usage_bytes > inactive ? memory.usage_bytes - inactive : 0;
  memory.rss_bytes = keyed_number(text, "total_rss");
  memory.cache_bytes = keyed_number(text, "total_cache");
  memory.swap_bytes = keyed_number(text, "total_swap");
  memory.page_faults = keyed_number(text, "total_pgfault");
  memory.major_page_faults = keyed_number(text, "total_pgmajfault");
  memory.with_swap = read_usage(directory + "/memory.memsw.");
  if (memory.with_swap.limit != kUnlimited && memory.limit_bytes != 0)
    memory.swap_limit_bytes = memory.with_swap.limit - std::min(memory.with_swap.limit, memory.limit_bytes);
  memory.kernel = read_usage(directory + "/memory.kmem.");
  memory.kernel_tcp = read_usage(directory + "/memory.kmem.tcp.");
}

// BFQ counts more than the block layer, but only requests on devices that it schedules.
void read_io(const std::string& directory, IoStats& io) {
  const auto read = [&directory](const char* name) { return parse_blkio(read_text(format_text("{}/blkio.{}", directory, name))); };
  io.bytes = read("bfq.io_service_bytes_recursive");
  io.operations = read("bfq.io_serviced_recursive");
  if (io.bytes.empty()) {
    io.bytes = read("throttle.io_service_bytes_recursive");
    io.operations = read("throttle.io_serviced_recursive");
  }
  io.queued = read("bfq.io_queued_recursive");
  io.service_ns = read("bfq.io_service_time_recursive");
  io.wait_ns = read("bfq.io_wait_time_recursive");
  io.merged = read("bfq.io_merged_recursive");
  io.time_ms = read("bfq.time_recursive");
  io.sectors = read("bfq.sectors_recursive");
}

void read_huge_pages(const std::string& directory, std::vector<HugePageStats>& all) {
  for (auto& size : read_huge_page_sizes()) {
    const auto prefix = format_text("{}/hugetlb.{}.", directory, size);
    if (read_text(prefix + "usage_in_bytes").empty()) continue;  // the controller is not mounted
    const auto usage = read_usage(prefix);
    all.push_back({.page_size = std::move(size), .usage = usage});
  }
}

}  // namespace

Stats read_stats(const std::vector<Hierarchy>& hierarchies, const std::string& path) {
  const auto directory = [&](const char* controller) { return directory_of(hierarchies, controller, path); };
  Stats stats{.timestamp_ns = now_unix_ns()};
  read_cpu(directory("cpuacct"), directory("cpu"), stats.cpu);
  read_cpuset(directory("cpuset"), stats.cpuset);
  read_memory(directory("memory"), stats.memory);
  const auto pids = directory("pids");
  stats.pids = {.current = read_number(pids + "/pids.current"), .limit = parse_limit(read_text(pids + "/pids.max"))};
  read_io(directory("blkio"), stats.io);
  read_huge_pages(directory("hugetlb"), stats.huge_pages);
  // A hybrid host counts waiting in its v2 hierarchy, controllers or not.
  const auto unified = directory(kUnified.data());
  stats.cpu.pressure = parse_pressure(read_text(unified + "/cpu.pressure"));
  stats.memory.pressure = parse_pressure(read_text(unified + "/memory.pressure"));
  stats.io.pressure = parse_pressure(read_text(unified + "/io.pressure"));
  return stats;
}

std::uint64_t read_oom_kills(const std::string& path) {
  const auto hierarchies = read_hierarchies();
  if (!hierarchies.has_value()) return 0;
  return keyed_number(read_text(directory_of(hierarchies.value(), "memory", path) + "/memory.oom_control"), "oom_kill");
}

}  // namespace husk::cgroups::v1
