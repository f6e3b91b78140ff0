// linux.resources → cgroup v1 files, "controller/file". Source: kernel Documentation/admin-guide/
// cgroup-v1/; config-linux.md#control-groups, whose names are v1's.
#include <string>

#include "base/format.h"
#include "cgroups/conversion.h"
#include "cgroups/resources.h"

namespace husk::cgroups::v1 {
namespace {

using Files = std::vector<ControlFile>;

void add_memory(Files& files, const oci::MemoryLimits& memory) {
  const auto limit = memory.limit.value_or(0);
  const auto swap = memory.swap.value_or(0);
  // The kernel holds limit <= memsw at every moment: raising to "none" must raise memsw first.
  if (limit == -1 && swap == 0) files.push_back({"memory/memory.memsw.limit_in_bytes", "-1", Need::if_present});
  if (limit != 0) files.push_back({"memory/memory.limit_in_bytes", std::to_string(limit)});
  if (swap != 0)
    files.push_back({"memory/memory.memsw.limit_in_bytes", std::to_string(swap),
                     swap == -1 ? Need::if_present : Need::required});
  if (memory.reservation.value_or(0) != 0)
    files.push_back({"memory/memory.soft_limit_in_bytes", std::to_string(*memory.reservation)});
  if (memory.kernel.value_or(0) != 0)
    files.push_back({"memory/memory.kmem.limit_in_bytes", std::to_string(*memory.kernel)});
  if (memory.kernel_tcp.value_or(0) != 0)
    files.push_back({"memory/memory.kmem.tcp.limit_in_bytes", std::to_string(*memory.kernel_tcp)});
  if (memory.swappiness.has_value())
    files.push_back({"memory/memory.swappiness", std::to_string(*memory.swappiness)});
  if (memory.disable_oom_killer.has_value())
    files.push_back({"memory/memory.oom_control", *memory.disable_oom_killer ? "1" : "0"});
  // until kernel 5.11: later ones know only "1", and the file may be gone.
  if (memory.use_hierarchy.value_or(false))
    files.push_back({"memory/memory.use_hierarchy", "1", Need::if_present});
}

void add_cpu(Files& files, const oci::CpuLimits& cpu) {
  if (cpu.idle.has_value()) files.push_back({"cpu/cpu.idle", std::to_string(*cpu.idle)});
  if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0)
    files.push_back({"cpu/cpu.shares", std::to_string(*cpu.shares)});
  if (cpu.period.value_or(0) != 0) files.push_back({"cpu/cpu.cfs_period_us", std::to_string(*cpu.period)});
  if (cpu.quota.value_or(0) != 0)
    files.push_back({"cpu/cpu.cfs_quota_us", *cpu.quota < 0 ? "-1" : std::to_string(*cpu.quota)});
  if (cpu.burst.has_value()) files.push_back({"cpu/cpu.cfs_burst_us", std::to_string(*cpu.burst)});
  if (cpu.realtime_period.value_or(0) != 0)
    files.push_back({"cpu/cpu.rt_period_us", std::to_string(*cpu.realtime_period)});
  if (cpu.realtime_runtime.value_or(0) != 0)
    files.push_back({"cpu/cpu.rt_runtime_us", std::to_string(*cpu.realtime_runtime)});
  if (!cpu.cpus.empty()) files.push_back({"cpuset/cpuset.cpus", cpu.cpus});
  if (!cpu.mems.empty()) files.push_back({"cpuset/cpuset.mems", cpu.mems});
}

// BFQ names its file after itself; the plain name belonged to CFQ (until kernel 5.0).
void add_weight(Files& files, const std::string& device, std::uint16_t weight) {
  const std::string suffix = device.empty() ? "" : "_device";
  const auto value = format_text("{}{}", device, weight);
  files.push_back({format_text("blkio/blkio.bfq.weight{}", suffix), value, Need::if_present});
  files.push_back({format_text("blkio/blkio.weight{}", suffix), value, Need::otherwise});
}

void add_throttle(Files& files, std::string_view name, const std::vector<oci::ThrottleDevice>& devices) {
  for (const auto& device : devices)
    files.push_back({format_text("blkio/blkio.throttle.{}_device", name),
                     format_text("{}:{} {}", device.major, device.minor, device.rate)});
}

void add_block_io(Files& files, const oci::BlockIoLimits& io) {
  if (io.weight.value_or(0) != 0) add_weight(files, "", *io.weight);
  if (io.leaf_weight.value_or(0) != 0) files.push_back({"blkio/blkio.leaf_weight", std::to_string(*io.leaf_weight)});
  for (const auto& device : io.weight_devices) {
    const auto name = format_text("{}:{} ", device.major, device.minor);
    if (device.weight.value_or(0) != 0) add_weight(files, name, *device.weight);
    if (device.leaf_weight.value_or(0) != 0)
      files.push_back({"blkio/blkio.leaf_weight_device", format_text("{}{}", name, *device.leaf_weight)});
  }
  add_throttle(files, "read_bps", io.read_bps);
  add_throttle(files, "write_bps", io.write_bps);
  add_throttle(files, "read_iops", io.read_iops);
  add_throttle(files, "write_iops", io.write_iops);
}

void add_rest(Files& files, const oci::Resources& resources) {
  for (const auto& limit : resources.hugepage_limits) {
    const auto value = std::to_string(limit.limit);
    files.push_back({format_text("hugetlb/hugetlb.{}.limit_in_bytes", limit.page_size), value});
    files.push_back({format_text("hugetlb/hugetlb.{}.rsvd.limit_in_bytes", limit.page_size), value, Need::if_present});
  }
  for (const auto& limit : resources.rdma) {
    std::string line = limit.device;
    if (limit.hca_handles.has_value()) line += format_text(" hca_handle={}", *limit.hca_handles);
    if (limit.hca_objects.has_value()) line += format_text(" hca_object={}", *limit.hca_objects);
    files.push_back({"rdma/rdma.max", std::move(line)});
  }
  if (!resources.network.has_value()) return;
  if (resources.network->class_id.has_value())
    files.push_back({"net_cls/net_cls.classid", std::to_string(*resources.network->class_id)});
  for (const auto& priority : resources.network->priorities)
    files.push_back({"net_prio/net_prio.ifpriomap", format_text("{} {}", priority.name, priority.priority)});
}

}  // namespace

Result<std::vector<ControlFile>> limit_files(const oci::Resources& resources) {
  if (!resources.unified.empty())
    return resource_error(Kind::unsupported, format_text("unified/{}", resources.unified.front().first),
                          "this host uses cgroup v1")
        .hint("\"unified\" names cgroup v2 files; boot with systemd.unified_cgroup_hierarchy=1");
  Files files;
  if (resources.memory.has_value()) add_memory(files, *resources.memory);
  if (resources.cpu.has_value()) add_cpu(files, *resources.cpu);
  if (resources.pids_limit.has_value()) files.push_back({"pids/pids.max", max_or_number(*resources.pids_limit)});
  if (resources.block_io.has_value()) add_block_io(files, *resources.block_io);
  add_rest(files, resources);
  return files;
}

}  // namespace husk::cgroups::v1
