#include <unistd.h>

#include <array>
#include <limits>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/verb.h"
#include "container.h"
#include "oci-spec/parse_config.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{
    Option{'r', "resources", "FILE", "JSON file with the contents of linux.resources, - for standard input; excludes the flags below"},
    Option{0, "blkio-weight", "N", "share of block I/O, 10 to 1000"},
    Option{0, "cpu-period", "US", "length of the period that the quota counts for, in microseconds"},
    Option{0, "cpu-quota", "US", "CPU time in each period, in microseconds; -1 for no limit"},
    Option{0, "cpu-burst", "US", "unused CPU time that may be saved up, in microseconds"},
    Option{0, "cpu-share", "N", "share of CPU time beside other cgroups (1024 is ordinary)"},
    Option{0, "cpu-rt-period", "US", "period of the real-time limit, in microseconds; cgroup v1"},
    Option{0, "cpu-rt-runtime", "US", "real-time CPU time in each such period; cgroup v1"},
    Option{0, "cpu-idle", "N", "1: only CPU time that nobody else wants; 0: as others"},
    Option{0, "cpuset-cpus", "LIST", "CPUs to run on, as 0-3,7"},
    Option{0, "cpuset-mems", "LIST", "memory nodes to use, as 0-1"},
    Option{0, "kernel-memory", "BYTES", "limit of kernel memory; cgroup v1"},
    Option{0, "kernel-memory-tcp", "BYTES", "limit of TCP buffers; cgroup v1"},
    Option{0, "memory", "BYTES", "limit of memory; units as 64M, -1 for no limit"},
    Option{0, "memory-reservation", "BYTES", "memory that is kept when the host is short of it"},
    Option{0, "memory-swap", "BYTES", "limit of memory and swap together; -1 for no limit"},
    Option{0, "pids-limit", "N", "limit of processes and threads; -1 for no limit"},
    Option{0, "l3-cache-schema", "TEXT", "share of the L3 cache, as L3:0=7f0;1=1f; needs a resctrl group; in a command of its own"},
    Option{0, "mem-bw-schema", "TEXT", "share of memory bandwidth, as MB:0=20;1=70; needs a resctrl group; in a command of its own"},
    kHelpOption};

Error bad_value(const Parsed& parsed, std::string_view name, std::string_view wanted) {
  return Error{Kind::invalid, format_text("--{} {}: must be {}", name, quote(parsed.text(name)), wanted)};
}

// "64M" as callers of other runtimes write it: powers of 1024, with or without "B" or "iB". Negative: no limit.
Result<std::int64_t> parse_bytes(const Parsed& parsed, std::string_view name) {
  const auto wanted = bad_value(parsed, name, "a number of bytes, as 67108864 or 64M, or -1");
  auto text = to_lower(parsed.text(name));
  if (text.ends_with("ib") && text.size() > 3) text.erase(text.size() - 2);
  else if (text.ends_with("b")) text.pop_back();
  constexpr std::string_view kUnits = "kmgtp";
  const auto unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
  if (unit != std::string_view::npos) text.pop_back();
  const auto number = parse_int64(text);
  if (!number.has_value() || number.value() < -1) return wanted;
  const auto shift = unit == std::string_view::npos ? 0U : 10U * (static_cast<unsigned>(unit) + 1U);
  if (number.value() > (std::numeric_limits<std::int64_t>::max() >> shift)) return wanted;
  return number.value() == -1 ? -1 : number.value() << shift;
}

Status set_bytes(const Parsed& parsed, std::string_view name, std::optional<std::int64_t>& to) {
  if (parsed.has(name)) to = TRY(parse_bytes(parsed, name));
  return ok();
}

Status set_signed(const Parsed& parsed, std::string_view name, std::optional<std::int64_t>& to) {
  if (!parsed.has(name)) return ok();
  const auto number = parse_int64(parsed.text(name));
  if (!number.has_value()) return bad_value(parsed, name, "a whole number");
  to = number.value();
  return ok();
}

Status set_unsigned(const Parsed& parsed, std::string_view name, std::optional<std::uint64_t>& to) {
  if (!parsed.has(name)) return ok();
  const auto number = parse_uint64(parsed.text(name));
  if (!number.has_value()) return bad_value(parsed, name, "a whole number from 0 up");
  to = number.value();
  return ok();
}

Result<oci::MemoryLimits> memory_of(const Parsed& parsed) {
  oci::MemoryLimits memory;
  TRY(set_bytes(parsed, "memory", memory.limit));
  TRY(set_bytes(parsed, "memory-reservation", memory.reservation));
  TRY(set_bytes(parsed, "memory-swap", memory.swap));
  TRY(set_bytes(parsed, "kernel-memory", memory.kernel));
  TRY(set_bytes(parsed, "kernel-memory-tcp", memory.kernel_tcp));
  return memory;
}

Result<oci::CpuLimits> cpu_of(const Parsed& parsed) {
  oci::CpuLimits cpu;
  TRY(set_unsigned(parsed, "cpu-period", cpu.period));
  TRY(set_signed(parsed, "cpu-quota", cpu.quota));
  TRY(set_unsigned(parsed, "cpu-burst", cpu.burst));
  TRY(set_unsigned(parsed, "cpu-share", cpu.shares));
  TRY(set_unsigned(parsed, "cpu-rt-period", cpu.realtime_period));
  TRY(set_signed(parsed, "cpu-rt-runtime", cpu.realtime_runtime));
  TRY(set_signed(parsed, "cpu-idle", cpu.idle));
  cpu.cpus = parsed.text("cpuset-cpus");
  cpu.mems = parsed.text("cpuset-mems");
  return cpu;
}

bool has_any(const Parsed& parsed, std::initializer_list<std::string_view> prefixes) {
  for (const auto& option : kOptions)
    for (const auto prefix : prefixes)
      if (option.name.starts_with(prefix) && parsed.has(option.name)) return true;
  return false;
}

Result<oci::Resources> resources_of_flags(const Parsed& parsed) {
  oci::Resources resources;
  if (has_any(parsed, {"memory", "kernel-memory"})) resources.memory = TRY(memory_of(parsed));
  if (has_any(parsed, {"cpu"})) resources.cpu = TRY(cpu_of(parsed));
  TRY(set_signed(parsed, "pids-limit", resources.pids_limit));
  std::optional<std::uint64_t> weight;
  TRY(set_unsigned(parsed, "blkio-weight", weight));
  if (weight.value_or(0) > 1000) return bad_value(parsed, "blkio-weight", "in 10-1000");
  if (weight.has_value()) resources.block_io = oci::BlockIoLimits{.weight = static_cast<std::uint16_t>(*weight)};
  return resources;
}

Result<oci::Resources> resources_of_file(const std::string& path) {
  const auto limit = oci::JsonLimits{}.max_bytes;
  const auto text = TRY((path == "-" ? read_all(STDIN_FILENO, limit) : read_file(path, limit)).during("read resources"));
  return oci::parse_resources(text).during("--resources");
}

Result<oci::Resources> read_change(const Parsed& parsed) {
  const bool flags = has_any(parsed, {"memory", "kernel-memory", "cpu", "pids", "blkio"});
  if (parsed.has("resources")) {
    if (flags) return Error{Kind::invalid, "--resources and the flags exclude each other"}.hint("put all limits into the file");
    return resources_of_file(parsed.text("resources"));
  }
  if (!flags) return Error{Kind::invalid, "update requires an argument: a limit to change"}.hint("see --help");
  return resources_of_flags(parsed);
}

// Cgroups and resctrl cannot be changed as one: a failure of the second would leave the first.
Status update_rdt(const Globals& globals, const Parsed& parsed, const ContainerId& id) {
  if (has_any(parsed, {"memory", "kernel-memory", "cpu", "pids", "blkio", "resources"}))
    return Error{Kind::invalid, "--l3-cache-schema and --mem-bw-schema do not go with other limits"}.hint("update them in a command of their own");
  return runtime::update_rdt(runtime::StateStore{globals.root}, id, parsed.text("l3-cache-schema"), parsed.text("mem-bw-schema"));
}

Result<int> run_update(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  if (has_any(parsed, {"l3-cache", "mem-bw"})) {
    TRY(update_rdt(globals, parsed, id));
    return 0;
  }
  const auto change = TRY(read_change(parsed));
  TRY(runtime::update_container(runtime::StateStore{globals.root}, id, change));
  return 0;
}

}  // namespace

const Verb kUpdateVerb{.name = "update",
                       .arguments = "ID",
                       .summary = "change the limits of a container",
                       .options = kOptions,
                       .run = run_update};

}  // namespace husk::cli
