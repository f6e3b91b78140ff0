// linux.resources → cgroup v2 files. Source: kernel Documentation/admin-guide/cgroup-v2.rst.
#include <algorithm>
#include <string>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/conversion.h"
#include "cgroups/resources.h"
#include "oci-spec/json.h"

namespace husk::cgroups::v2 {
namespace {

using Files = std::vector<ControlFile>;

Error unsupported(std::string_view pointer, std::string_view why) {
  return resource_error(Kind::unsupported, pointer, format_text("cgroup v2 {}", why))
      .hint("remove the field, or run on a host with cgroup v1");
}

// v1's limit counts memory + swap, v2's only swap. 0 = leave as it is.
void add_swap(Files& files, std::int64_t limit, std::int64_t swap) {
  if (swap == 0 && limit != -1) return;
  const bool unlimited = swap <= 0;
  const auto value = unlimited ? std::string{"max"} : std::to_string(swap - limit);
  // Without swap accounting the file is absent; "none" and "max" then hold anyway.
  const bool holds_anyway = unlimited || swap == limit;
  add_file(files, swap == 0 ? "memory/limit" : "memory/swap", "memory.swap.max", value,
           holds_anyway ? Need::if_present : Need::required);
}

Status add_memory(Files& files, const oci::MemoryLimits& memory) {
  if (memory.kernel.value_or(0) > 0)
    return unsupported("memory/kernel", "has no limit of its own for kernel memory; memory.max counts it");
  if (memory.kernel_tcp.value_or(0) > 0)
    return unsupported("memory/kernelTCP", "has no limit of its own for TCP buffers; memory.max counts them");
  if (memory.swappiness.has_value()) return unsupported("memory/swappiness", "has no swappiness of a cgroup");
  if (memory.disable_oom_killer.value_or(false))
    return unsupported("memory/disableOOMKiller", "cannot turn off the OOM killer");
  const auto limit = memory.limit.value_or(0);
  add_swap(files, limit, memory.swap.value_or(0));
  if (limit != 0) add_file(files, "memory/limit", "memory.max", max_or_number(limit));
  if (memory.reservation.value_or(0) != 0)
    add_file(files, "memory/reservation", "memory.low", max_or_number(*memory.reservation));
  return ok();
}

Status add_cpu(Files& files, const oci::CpuLimits& cpu) {
  if (cpu.realtime_runtime.value_or(0) != 0) return unsupported("cpu/realtimeRuntime", "has no real-time budget");
  if (cpu.realtime_period.value_or(0) != 0) return unsupported("cpu/realtimePeriod", "has no real-time budget");
  if (cpu.idle.has_value()) add_file(files, "cpu/idle", "cpu.idle", std::to_string(*cpu.idle));
  // An idle group has the least weight by definition; the kernel refuses another one.
  if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0)
    add_file(files, "cpu/shares", "cpu.weight", std::to_string(cpu_weight_of_shares(*cpu.shares)));
  const auto quota = cpu.quota.value_or(0);
  const auto period = cpu.period.value_or(0);
  if (quota != 0 || period != 0) {
    auto value = quota > 0 ? std::to_string(quota) : std::string{"max"};
    value += format_text(" {}", period != 0 ? period : 100000);
    add_file(files, quota != 0 ? "cpu/quota" : "cpu/period", "cpu.max", std::move(value));
  }
  if (cpu.burst.has_value()) add_file(files, "cpu/burst", "cpu.max.burst", std::to_string(*cpu.burst));
  if (!cpu.cpus.empty()) add_file(files, "cpu/cpus", "cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) add_file(files, "cpu/mems", "cpuset.mems", cpu.mems);
  return ok();
}

// BFQ takes v1's scale; where it is not loaded, io.weight has its own.
void add_weight(Files& files, std::string_view field, const std::string& device, std::uint16_t weight) {
  add_file(files, field, "io.bfq.weight", format_text("{}{}", device, weight), Need::if_present);
  add_file(files, field, "io.weight", format_text("{}{}", device, io_weight_of_blkio(weight)), Need::otherwise);
}

// One line for each device: "8:0 rbps=1048576 wiops=100". 0 is v1's word for "no limit".
void add_throttles(Files& files, const oci::BlockIoLimits& io) {
  const auto first = static_cast<std::ptrdiff_t>(files.size());
  const auto collect = [&](const std::vector<oci::ThrottleDevice>& devices, std::string_view field, std::string_view key) {
    for (std::size_t i = 0; i < devices.size(); ++i) {
      const auto name = format_text("{}:{}", devices[i].major, devices[i].minor);
      const auto is_same = [&name](const ControlFile& file) { return file.value.starts_with(name + " "); };
      auto line = std::find_if(files.begin() + first, files.end(), is_same);
      if (line == files.end()) {  // an error names the first field of a device
        add_file(files, format_text("blockIO/{}/{}", field, i), "io.max", name);
        line = files.end() - 1;
      }
      line->value += format_text(" {}={}", key, devices[i].rate == 0 ? "max" : std::to_string(devices[i].rate));
    }
  };
  collect(io.read_bps, "throttleReadBpsDevice", "rbps");
  collect(io.write_bps, "throttleWriteBpsDevice", "wbps");
  collect(io.read_iops, "throttleReadIOPSDevice", "riops");
  collect(io.write_iops, "throttleWriteIOPSDevice", "wiops");
}

Status add_block_io(Files& files, const oci::BlockIoLimits& io) {
  if (io.leaf_weight.value_or(0) != 0) return unsupported("blockIO/leafWeight", "has no leaf weight");
  if (io.weight.value_or(0) != 0) add_weight(files, "blockIO/weight", "", *io.weight);
  for (std::size_t i = 0; i < io.weight_devices.size(); ++i) {
    const auto& device = io.weight_devices[i];
    if (device.leaf_weight.value_or(0) != 0)
      return unsupported(format_text("blockIO/weightDevice/{}/leafWeight", i), "has no leaf weight");
    if (device.weight.value_or(0) != 0)
      add_weight(files, format_text("blockIO/weightDevice/{}/weight", i), format_text("{}:{} ", device.major, device.minor),
                 *device.weight);
  }
  add_throttles(files, io);
  return ok();
}

Status refuse_network(const oci::NetworkLimits& network) {
  if (network.class_id.value_or(0) != 0)
    return unsupported("network/classID", "has no net_cls controller; match the cgroup itself in nftables");
  if (!network.priorities.empty())
    return unsupported("network/priorities", "has no net_prio controller; match the cgroup itself in nftables");
  return ok();
}

// The kernel takes one line a write, so a value of several lines ("8:0 rbps=1\n8:16 rbps=2") becomes several.
void add_unified(Files& files, const std::string& name, const std::string& value) {
  const auto before = files.size();
  const auto field = format_text("unified/{}", oci::escape_pointer(name));
  for (const auto line : split(value, '\n'))
    if (!line.empty()) add_file(files, field, name, std::string{line});
  if (files.size() == before) add_file(files, field, name, "");
}

}  // namespace

Result<std::vector<ControlFile>> limit_files(const oci::Resources& resources) {
  Files files;
  if (resources.memory.has_value()) TRY(add_memory(files, *resources.memory));
  if (resources.cpu.has_value()) TRY(add_cpu(files, *resources.cpu));
  if (resources.pids_limit.has_value()) add_file(files, "pids/limit", "pids.max", max_or_number(*resources.pids_limit));
  if (resources.block_io.has_value()) TRY(add_block_io(files, *resources.block_io));
  add_hugepages(files, resources.hugepage_limits, "hugetlb.", "max");
  add_rdma(files, resources.rdma, "rdma.max");
  if (resources.network.has_value()) TRY(refuse_network(*resources.network));
  for (const auto& [name, value] : resources.unified) add_unified(files, name, value);  // last: they win
  return files;
}

}  // namespace husk::cgroups::v2
