// husk update: other limits for a container that is there.
#include "base/format.h"
#include "base/log.h"
#include "cgroups/cgroup.h"
#include "cgroups/device_rules.h"
#include "container.h"
#include "fault.h"
#include "oci-spec/parse_config.h"
#include "resctrl.h"

namespace husk::runtime {
namespace {

// Callers write 0 for "leave it alone" where 0 is no limit. Source: containerd's runc shim, Update.
template <class T>
void take(std::optional<T>& to, const std::optional<T>& from) {
  if (from.has_value() && *from != 0) to = from;
}

template <class T>
void take_any(std::optional<T>& to, const std::optional<T>& from) {
  if (from.has_value()) to = from;
}

oci::MemoryLimits merge_memory(oci::MemoryLimits memory, const oci::MemoryLimits& change) {
  // No limit of memory, and one of memory + swap, contradict each other.
  if (change.limit == -1 && change.swap.value_or(0) == 0 && memory.swap.value_or(0) > 0) memory.swap = -1;
  take(memory.limit, change.limit);
  take(memory.reservation, change.reservation);
  take(memory.swap, change.swap);
  take(memory.kernel, change.kernel);
  take(memory.kernel_tcp, change.kernel_tcp);
  take_any(memory.swappiness, change.swappiness);
  take_any(memory.disable_oom_killer, change.disable_oom_killer);
  take_any(memory.use_hierarchy, change.use_hierarchy);
  take_any(memory.check_before_update, change.check_before_update);
  return memory;
}

oci::CpuLimits merge_cpu(oci::CpuLimits cpu, const oci::CpuLimits& change) {
  take(cpu.shares, change.shares);
  take(cpu.quota, change.quota);
  take(cpu.period, change.period);
  take(cpu.realtime_runtime, change.realtime_runtime);
  take(cpu.realtime_period, change.realtime_period);
  take_any(cpu.burst, change.burst);
  take_any(cpu.idle, change.idle);
  if (!change.cpus.empty()) cpu.cpus = change.cpus;
  if (!change.mems.empty()) cpu.mems = change.mems;
  return cpu;
}

// Entries of `change` take the place of those with the same key.
template <class Item, class Key>
void merge_list(std::vector<Item>& items, const std::vector<Item>& change, const Key& key) {
  for (const auto& entry : change) {
    std::erase_if(items, [&](const Item& item) { return key(item) == key(entry); });
    items.push_back(entry);
  }
}

oci::BlockIoLimits merge_block_io(oci::BlockIoLimits io, const oci::BlockIoLimits& change) {
  take(io.weight, change.weight);
  take(io.leaf_weight, change.leaf_weight);
  const auto number = [](const auto& item) { return std::pair{item.major, item.minor}; };
  merge_list(io.weight_devices, change.weight_devices, number);
  merge_list(io.read_bps, change.read_bps, number);
  merge_list(io.write_bps, change.write_bps, number);
  merge_list(io.read_iops, change.read_iops, number);
  merge_list(io.write_iops, change.write_iops, number);
  return io;
}

oci::NetworkLimits merge_network(oci::NetworkLimits network, const oci::NetworkLimits& change) {
  take_any(network.class_id, change.class_id);
  merge_list(network.priorities, change.priorities, [](const auto& item) { return item.name; });
  return network;
}

// Rules that decide as those in force do are no change: containerd and CRI-O send the whole list with each update.
bool changes_devices(const oci::Resources& saved, const oci::Resources& change) {
  return !change.devices.empty() &&
         !cgroups::are_same_rules(cgroups::complete_rules(saved.devices), cgroups::complete_rules(change.devices));
}

template <class... Fields>
bool has_any(const Fields&... fields) {
  return (... || (fields.value_or(0) != 0));
}

// What is to be written: only what `change` speaks of. The rest may be somebody else's by now, or `unified` has the last
// word about it. Limits that bound each other are written together, for which the merged values are needed.
oci::MemoryLimits to_apply(const oci::MemoryLimits& merged, oci::MemoryLimits change) {
  if (!has_any(change.limit, change.swap)) return change;
  change.limit = merged.limit;
  change.swap = merged.swap;
  return change;
}

oci::CpuLimits to_apply(const oci::CpuLimits& merged, oci::CpuLimits change) {
  if (has_any(change.quota, change.period) || change.burst.has_value()) {
    change.quota = merged.quota;
    change.period = merged.period;
    change.burst = merged.burst;
  }
  if (has_any(change.shares) || change.idle.has_value()) {  // who is idle has no share
    change.shares = merged.shares;
    change.idle = merged.idle;
  }
  return change;
}

oci::Resources to_apply(const oci::Resources& merged, const oci::Resources& change) {
  auto resources = change;
  resources.devices = merged.devices;
  if (change.memory.has_value()) resources.memory = to_apply(*merged.memory, *change.memory);
  if (change.cpu.has_value()) resources.cpu = to_apply(*merged.cpu, *change.cpu);
  return resources;
}

// A copy of the object that `json` has as `key`, or an empty one.
oci::Json object_in(const oci::Json& json, std::string_view key) {
  const auto* found = json.find(key);
  return found != nullptr && found->is_object() ? *found : oci::Json::object();
}

Result<std::string> config_with(const ContainerDir& directory, const oci::Resources& resources) {
  const auto text = TRY(directory.read_config());
  auto config = TRY(oci::parse_json(text));
  const auto written = oci::write_resources(resources);
  auto json = TRY(oci::parse_json(written));
  auto part = object_in(config, "linux");
  part.set("resources", std::move(json));
  config.set("linux", std::move(part));
  return config.dump();
}

Result<std::string> config_with(const ContainerDir& directory, const std::string& l3_cache_schema, const std::string& mem_bw_schema) {
  const auto text = TRY(directory.read_config());
  auto config = TRY(oci::parse_json(text));
  auto part = object_in(config, "linux");
  auto rdt = object_in(part, "intelRdt");
  if (!l3_cache_schema.empty()) rdt.set("l3CacheSchema", l3_cache_schema);
  if (!mem_bw_schema.empty()) rdt.set("memBwSchema", mem_bw_schema);
  part.set("intelRdt", std::move(rdt));
  config.set("linux", std::move(part));
  auto updated = config.dump();
  TRY(oci::parse_config(updated));  // the values by their rules
  return updated;
}

Status check_updatable(const Record& record, Phase phase) {
  if (phase == Phase::stopped || phase == Phase::creating)
    return Error{Kind::wrong_state, format_text("cannot update a container that is {}: container not running", name_of(phase))};
  if (record.cgroup_driver == cgroups::Driver::disabled || record.cgroup_path.empty())
    return Error{Kind::unsupported, "the container has no cgroup, so no limits"};
  return ok();
}

}  // namespace

oci::Resources merge_resources(const oci::Resources& saved, const oci::Resources& change) {
  auto merged = saved;
  if (changes_devices(saved, change)) merged.devices = change.devices;
  if (change.memory.has_value())
    merged.memory = merge_memory(saved.memory.value_or(oci::MemoryLimits{}), *change.memory);
  if (change.cpu.has_value()) merged.cpu = merge_cpu(saved.cpu.value_or(oci::CpuLimits{}), *change.cpu);
  take_any(merged.pids_limit, change.pids_limit);
  if (change.block_io.has_value())
    merged.block_io = merge_block_io(saved.block_io.value_or(oci::BlockIoLimits{}), *change.block_io);
  if (change.network.has_value())
    merged.network = merge_network(saved.network.value_or(oci::NetworkLimits{}), *change.network);
  merge_list(merged.hugepage_limits, change.hugepage_limits, [](const auto& item) { return item.page_size; });
  merge_list(merged.rdma, change.rdma, [](const auto& item) { return item.device; });
  merge_list(merged.unified, change.unified, [](const auto& item) { return item.first; });
  return merged;
}

Status update_container(const StateStore& store, const ContainerId& id, const oci::Resources& change) {
  const auto opened = TRY(open_locked(store, id));
  TRY(check_updatable(opened.record, opened.phase));
  const auto spec = TRY(saved_spec(opened.directory));
  const auto merged = merge_resources(spec.linux.resources, change);
  const auto& record = opened.record;
  const auto& path = record.scope.empty() ? record.cgroup_path : spec.linux.cgroups_path;
  auto plan = TRY(cgroups::make_plan_for(record.cgroup_version, path, to_apply(merged, change), record.id,
                                               record.cgroup_driver, {.manager = record.scope_manager, .annotations = spec.annotations}));
  if (changes_devices(spec.linux.resources, change)) plan.replaced_rules = cgroups::complete_rules(spec.linux.resources.devices);
  const auto cgroup = TRY(open_cgroup(record));
  const auto config = TRY(config_with(opened.directory, merged));
  log::debug("{} files of cgroup {} change", plan.files.size(), record.cgroup_path);
  return opened.directory.replace_config(config, [&]() -> Status {
    TRY(cgroup->apply(plan).during("update limits"));
    return fault_point("update");
  });
}

Status update_rdt(const StateStore& store, const ContainerId& id, const std::string& l3_cache_schema, const std::string& mem_bw_schema) {
  const auto opened = TRY(open_locked(store, id));
  const auto& group = opened.record.rdt.group;
  if (opened.phase == Phase::stopped) return Error{Kind::wrong_state, "cannot update a container that is stopped: container not running"};
  if (group.empty() || group == ".")
    return Error{Kind::unsupported, "the container has no resctrl group of its own that could be changed"}.hint(
        "give linux.intelRdt with another closID than \"/\" when it is created");
  const auto config = TRY(config_with(opened.directory, l3_cache_schema, mem_bw_schema));
  const auto plan = plan_rdt({.l3_cache_schema = l3_cache_schema, .mem_bw_schema = mem_bw_schema}, opened.record.id);
  const auto resctrl = TRY(Resctrl::open());
  return opened.directory.replace_config(config, [&] { return resctrl.write_schemata(group, plan.lines); });
}

}  // namespace husk::runtime
