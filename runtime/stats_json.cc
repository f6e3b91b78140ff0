#include "stats_json.h"

#include <array>
#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/stat_text.h"

namespace husk::runtime {
namespace {

using cgroups::IoEntry;
using oci::Json;

Json numbers_json(const std::vector<std::uint64_t>& numbers) {
  auto json = Json::array();
  for (const auto number : numbers) json.push(number);
  return json;
}

Json numbers_json(const std::vector<std::uint32_t>& numbers) {
  auto json = Json::array();
  for (const auto number : numbers) json.push(number);
  return json;
}

Json pressure_line(const cgroups::PressureLine& line) {
  auto json = Json::object();
  json.set("avg10", line.avg10).set("avg60", line.avg60).set("avg300", line.avg300).set("total", line.total_us);
  return json;
}

void set_pressure(Json& json, const std::optional<cgroups::Pressure>& pressure) {
  if (!pressure.has_value()) return;
  auto psi = Json::object();
  psi.set("some", pressure_line(pressure->some)).set("full", pressure_line(pressure->full));
  json.set("psi", std::move(psi));
}

void set_list(Json& json, const char* name, const std::vector<std::uint64_t>& numbers) {
  if (!numbers.empty()) json.set(name, numbers_json(numbers));
}

Json cpu_json(const cgroups::CpuStats& cpu) {
  auto usage = Json::object();
  usage.set("total", cpu.usage_ns);
  set_list(usage, "percpu", cpu.per_cpu_ns);
  set_list(usage, "percpu_kernel", cpu.per_cpu_kernel_ns);
  set_list(usage, "percpu_user", cpu.per_cpu_user_ns);
  usage.set("kernel", cpu.kernel_ns).set("user", cpu.user_ns);
  auto throttling = Json::object();
  throttling.set("periods", cpu.periods).set("throttledPeriods", cpu.throttled_periods);
  throttling.set("throttledTime", cpu.throttled_ns);
  auto burst = Json::object();
  burst.set("bursts", cpu.bursts).set("burstTime", cpu.burst_ns);
  auto json = Json::object();
  json.set("usage", std::move(usage)).set("throttling", std::move(throttling)).set("burst", std::move(burst));
  set_pressure(json, cpu.pressure);
  return json;
}

Json cpuset_json(const cgroups::CpusetStats& cpuset) {
  auto json = Json::object();
  json.set("cpus", numbers_json(cpuset.cpus)).set("mems", numbers_json(cpuset.mems));
  for (const auto& [name, value] : cpuset.flags) json.set(name, value);
  return json;
}

Json usage_json(const cgroups::Usage& usage) {
  auto json = Json::object();
  json.set("limit", usage.limit).set("usage", usage.now).set("max", usage.highest).set("failcnt", usage.failures);
  return json;
}

Json memory_json(const cgroups::MemoryStats& memory) {
  const cgroups::Usage own{.now = memory.usage_bytes,
                           .highest = memory.highest_bytes,
                           .limit = memory.limit_bytes == 0 ? cgroups::kUnlimited : memory.limit_bytes,
                           .failures = memory.limit_hits};
  auto raw = Json::object();  // the kernel's own words, and what they lack
  raw.set("rss", memory.rss_bytes).set("working_set", memory.working_set_bytes).set("swap", memory.swap_bytes);
  raw.set("oom_kill", memory.oom_kills);
  for (const auto& [name, value] : memory.details) raw.set(name, value);
  auto json = Json::object();
  json.set("cache", memory.cache_bytes).set("usage", usage_json(own)).set("swap", usage_json(memory.with_swap));
  json.set("kernel", usage_json(memory.kernel)).set("kernelTCP", usage_json(memory.kernel_tcp));
  json.set("raw", std::move(raw));
  auto events = Json::object();
  for (const auto& [name, value] : memory.events) events.set(name, value);
  if (!memory.events.empty()) json.set("events", std::move(events));
  set_pressure(json, memory.pressure);
  return json;
}

Json io_json(const cgroups::IoStats& io) {
  const std::pair<const char*, const std::vector<IoEntry>&> lists[] = {
      {"ioServiceBytesRecursive", io.bytes}, {"ioServicedRecursive", io.operations},
      {"ioQueueRecursive", io.queued},       {"ioServiceTimeRecursive", io.service_ns},
      {"ioWaitTimeRecursive", io.wait_ns},   {"ioMergedRecursive", io.merged},
      {"ioTimeRecursive", io.time_ms},       {"sectorsRecursive", io.sectors}};
  auto json = Json::object();
  for (const auto& [name, list] : lists) {
    if (list.empty()) continue;
    auto entries = Json::array();
    for (const auto& entry : list) {
      auto one = Json::object();
      one.set("major", entry.major).set("minor", entry.minor);
      if (!entry.operation.empty()) one.set("op", entry.operation);
      one.set("value", entry.value);
      entries.push(std::move(one));
    }
    json.set(name, std::move(entries));
  }
  set_pressure(json, io.pressure);
  return json;
}

Json pids_json(const cgroups::PidsStats& pids) {
  auto json = Json::object();
  json.set("current", pids.current);
  if (pids.limit != cgroups::kUnlimited) json.set("limit", pids.limit);
  return json;
}

// Go's names of the members: runc gives that structure no tags.
Json interfaces_json(const std::vector<InterfaceCounters>& interfaces) {
  auto json = Json::array();
  for (const auto& one : interfaces) {
    auto entry = Json::object();
    entry.set("Name", one.name).set("RxBytes", one.rx_bytes).set("RxPackets", one.rx_packets);
    entry.set("RxErrors", one.rx_errors).set("RxDropped", one.rx_dropped).set("TxBytes", one.tx_bytes);
    entry.set("TxPackets", one.tx_packets).set("TxErrors", one.tx_errors).set("TxDropped", one.tx_dropped);
    json.push(std::move(entry));
  }
  return json;
}

bool is_same_file(const std::string& a, const std::string& b) {
  const auto first = sys::fstatat(AT_FDCWD, a, 0);
  const auto second = sys::fstatat(AT_FDCWD, b, 0);
  return first.has_value() && second.has_value() && first.value().st_dev == second.value().st_dev &&
         first.value().st_ino == second.value().st_ino;
}

}  // namespace

std::vector<InterfaceCounters> parse_interfaces(std::string_view proc_net_dev) {
  constexpr std::size_t kColumns = 16;
  std::vector<InterfaceCounters> found;
  for (const auto line : split(proc_net_dev, '\n')) {
    const auto colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;  // the two lines of headings
    const auto numbers = cgroups::parse_numbers(line.substr(colon + 1));
    const auto name = trim(line.substr(0, colon));
    if (numbers.size() < kColumns || name == "lo") continue;
    found.push_back({.name = std::string{name},
                     .rx_bytes = numbers[0], .rx_packets = numbers[1], .rx_errors = numbers[2], .rx_dropped = numbers[3],
                     .tx_bytes = numbers[8], .tx_packets = numbers[9], .tx_errors = numbers[10], .tx_dropped = numbers[11]});
  }
  return found;
}

std::vector<InterfaceCounters> read_interfaces(pid_t init) {
  if (is_same_file(format_text("/proc/{}/ns/net", init), "/proc/self/ns/net")) return {};
  const auto text = read_file(format_text("/proc/{}/net/dev", init));
  return text.has_value() ? parse_interfaces(text.value()) : std::vector<InterfaceCounters>{};
}

Json stats_event(const std::string& id, const cgroups::Stats& stats, const std::vector<InterfaceCounters>& interfaces, Json intel_rdt) {
  auto huge_pages = Json::object();
  for (const auto& one : stats.huge_pages) huge_pages.set(one.page_size, usage_json(one.usage));
  auto data = Json::object();
  data.set("cpu", cpu_json(stats.cpu)).set("cpuset", cpuset_json(stats.cpuset));
  data.set("memory", memory_json(stats.memory)).set("pids", pids_json(stats.pids)).set("blkio", io_json(stats.io));
  data.set("hugetlb", std::move(huge_pages)).set("intel_rdt", std::move(intel_rdt));
  data.set("network_interfaces", interfaces_json(interfaces));
  auto event = Json::object();
  event.set("type", "stats").set("id", id).set("data", std::move(data));
  return event;
}

}  // namespace husk::runtime
