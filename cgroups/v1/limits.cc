// linux.resources → cgroup v1 files, "controller/file". Source: kernel Documentation/admin-guide/
// cgroup-v1/; config-linux.md#control-groups, whose names are v1's.
#include <string>

#include "base/format.h"
#include "cgroups/conversion.h"
#include "cgroups/resources.h"

namespace husk::cgroups::v1 {
namespace {

using Files = std::vector<ControlFile>;

// 0 is how callers say "unset".
template <class Number>
void add_number(Files& files, std::string_view field, std::string_view name, const std::optional<Number>& number) {
  if (number.value_or(0) != 0) add_file(files, field, name, std::to_string(*number));
}

void add_memory(Files& files, const oci::MemoryLimits& memory) {
  const auto limit = memory.limit.value_or(0);
  const auto swap = memory.swap.value_or(0);
  // The kernel holds limit <= memsw at every moment: raising to "none" must raise memsw first.
  constexpr std::string_view kBoth = "memory/memory.memsw.limit_in_bytes";
  if (limit == -1 && swap == 0) add_file(files, "memory/limit", kBoth, "-1", Need::if_present);
  if (limit != 0) add_file(files, "memory/limit", "memory/memory.limit_in_bytes", std::to_string(limit));
  if (swap != 0)
    add_file(files, "memory/swap", kBoth, std::to_string(swap), swap == -1 ? Need::if_present : Need::required);
  add_number(files, "memory/reservation", "memory/memory.soft_limit_in_bytes", memory.reservation);
  add_number(files, "memory/kernel", "memory/memory.kmem.limit_in_bytes", memory.kernel);
  add_number(files, "memory/kernelTCP", "memory/memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp);
  if (memory.swappiness.has_value())
    add_file(files, "memory/swappiness", "memory/memory.swappiness", std::to_string(*memory.swappiness));
  if (memory.disable_oom_killer.has_value())
    add_file(files, "memory/disableOOMKiller", "memory/memory.oom_control", *memory.disable_oom_killer ? "1" : "0");
  // until kernel 5.11: later ones know only "1", and the file may be gone.
  if (memory.use_hierarchy.value_or(false))
    add_file(files, "memory/useHierarchy", "memory/memory.use_hierarchy", "1", Need::if_present);
}

void add_cpu(Files& files, const oci::CpuLimits& cpu) {
  if (cpu.idle.has_value()) add_file(files, "cpu/idle", "cpu/cpu.idle", std::to_string(*cpu.idle));
  if (cpu.idle.value_or(0) == 0) add_number(files, "cpu/shares", "cpu/cpu.shares", cpu.shares);
  add_number(files, "cpu/period", "cpu/cpu.cfs_period_us", cpu.period);
  if (cpu.quota.value_or(0) != 0)
    add_file(files, "cpu/quota", "cpu/cpu.cfs_quota_us", *cpu.quota < 0 ? "-1" : std::to_string(*cpu.quota));
  if (cpu.burst.has_value()) add_file(files, "cpu/burst", "cpu/cpu.cfs_burst_us", std::to_string(*cpu.burst));
  add_number(files, "cpu/realtimePeriod", "cpu/cpu.rt_period_us", cpu.realtime_period);
  add_number(files, "cpu/realtimeRuntime", "cpu/cpu.rt_runtime_us", cpu.realtime_runtime);
  if (!cpu.cpus.empty()) add_file(files, "cpu/cpus", "cpuset/cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) add_file(files, "cpu/mems", "cpuset/cpuset.mems", cpu.mems);
}

// BFQ names its file after itself; the plain name belonged to CFQ (until kernel 5.0).
void add_weight(Files& files, std::string_view field, const std::string& device, std::uint16_t weight) {
  const std::string suffix = device.empty() ? "" : "_device";
  const auto value = format_text("{}{}", device, weight);
  add_file(files, field, "blkio/blkio.bfq.weight" + suffix, value, Need::if_present);
  add_file(files, field, "blkio/blkio.weight" + suffix, value, Need::otherwise);
}

void add_throttle(Files& files, std::string_view field, std::string_view name,
                  const std::vector<oci::ThrottleDevice>& devices) {
  for (std::size_t i = 0; i < devices.size(); ++i)
    add_file(files, format_text("blockIO/{}/{}", field, i), format_text("blkio/blkio.throttle.{}_device", name),
             format_text("{}:{} {}", devices[i].major, devices[i].minor, devices[i].rate));
}

void add_block_io(Files& files, const oci::BlockIoLimits& io) {
  if (io.weight.value_or(0) != 0) add_weight(files, "blockIO/weight", "", *io.weight);
  add_number(files, "blockIO/leafWeight", "blkio/blkio.leaf_weight", io.leaf_weight);
  for (std::size_t i = 0; i < io.weight_devices.size(); ++i) {
    const auto& device = io.weight_devices[i];
    const auto field = format_text("blockIO/weightDevice/{}", i);
    const auto name = format_text("{}:{} ", device.major, device.minor);
    if (device.weight.value_or(0) != 0) add_weight(files, field + "/weight", name, *device.weight);
    if (device.leaf_weight.value_or(0) != 0)
      add_file(files, field + "/leafWeight", "blkio/blkio.leaf_weight_device",
               format_text("{}{}", name, *device.leaf_weight));
  }
  add_throttle(files, "throttleReadBpsDevice", "read_bps", io.read_bps);
  add_throttle(files, "throttleWriteBpsDevice", "write_bps", io.write_bps);
  add_throttle(files, "throttleReadIOPSDevice", "read_iops", io.read_iops);
  add_throttle(files, "throttleWriteIOPSDevice", "write_iops", io.write_iops);
}

void add_rest(Files& files, const oci::Resources& resources) {
  add_hugepages(files, resources.hugepage_limits, "hugetlb/hugetlb.", "limit_in_bytes");
  add_rdma(files, resources.rdma, "rdma/rdma.max");
  if (!resources.network.has_value()) return;
  const auto& network = *resources.network;
  if (network.class_id.has_value())
    add_file(files, "network/classID", "net_cls/net_cls.classid", std::to_string(*network.class_id));
  for (std::size_t i = 0; i < network.priorities.size(); ++i)
    add_file(files, format_text("network/priorities/{}", i), "net_prio/net_prio.ifpriomap",
             format_text("{} {}", network.priorities[i].name, network.priorities[i].priority));
}

// The kernel makes the nearest one of another number and does not say so. Source: MIN_SHARES in kernel/sched/sched.h.
Status check_shares(const std::optional<oci::CpuLimits>& cpu) {
  constexpr std::uint64_t kLeast = 2;
  constexpr std::uint64_t kMost = 262144;
  const auto shares = cpu.has_value() ? cpu->shares.value_or(0) : 0;
  if (shares == 0 || (shares >= kLeast && shares <= kMost)) return ok();
  return resource_error(Kind::invalid, "cpu/shares", format_text("{} is not from {} to {}, as cgroup v1 has it", shares, kLeast, kMost));
}

}  // namespace

Result<std::vector<ControlFile>> limit_files(const oci::Resources& resources) {
  if (!resources.unified.empty())
    return resource_error(Kind::unsupported, format_text("unified/{}", resources.unified.front().first),
                          "this host uses cgroup v1")
        .hint("\"unified\" names cgroup v2 files; boot with systemd.unified_cgroup_hierarchy=1");
  TRY(check_shares(resources.cpu));
  Files files;
  if (resources.memory.has_value()) add_memory(files, *resources.memory);
  if (resources.cpu.has_value()) add_cpu(files, *resources.cpu);
  if (resources.pids_limit.has_value()) add_file(files, "pids/limit", "pids/pids.max", max_or_number(*resources.pids_limit));
  if (resources.block_io.has_value()) add_block_io(files, *resources.block_io);
  add_rest(files, resources);
  return files;
}

}  // namespace husk::cgroups::v1
