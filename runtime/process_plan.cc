#include "process_plan.h"

#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "annotations.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

struct Constant {
  std::string_view name;
  long value;
};

constexpr std::array kRlimits{Constant{"RLIMIT_AS", RLIMIT_AS},
                              Constant{"RLIMIT_CORE", RLIMIT_CORE},
                              Constant{"RLIMIT_CPU", RLIMIT_CPU},
                              Constant{"RLIMIT_DATA", RLIMIT_DATA},
                              Constant{"RLIMIT_FSIZE", RLIMIT_FSIZE},
                              Constant{"RLIMIT_LOCKS", 10},
                              Constant{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                              Constant{"RLIMIT_MSGQUEUE", 12},
                              Constant{"RLIMIT_NICE", 13},
                              Constant{"RLIMIT_NOFILE", RLIMIT_NOFILE},
                              Constant{"RLIMIT_NPROC", RLIMIT_NPROC},
                              Constant{"RLIMIT_RSS", RLIMIT_RSS},
                              Constant{"RLIMIT_RTPRIO", 14},
                              Constant{"RLIMIT_RTTIME", 15},
                              Constant{"RLIMIT_SIGPENDING", 11},
                              Constant{"RLIMIT_STACK", RLIMIT_STACK}};

constexpr std::array kPolicies{Constant{"SCHED_OTHER", SCHED_NORMAL}, Constant{"SCHED_FIFO", SCHED_FIFO},
                               Constant{"SCHED_RR", SCHED_RR},        Constant{"SCHED_BATCH", SCHED_BATCH},
                               Constant{"SCHED_ISO", 4},              Constant{"SCHED_IDLE", SCHED_IDLE},
                               Constant{"SCHED_DEADLINE", SCHED_DEADLINE}};

constexpr std::array kSchedFlags{Constant{"SCHED_FLAG_RESET_ON_FORK", 0x01}, Constant{"SCHED_FLAG_RECLAIM", 0x02},
                                 Constant{"SCHED_FLAG_DL_OVERRUN", 0x04},    Constant{"SCHED_FLAG_KEEP_POLICY", 0x08},
                                 Constant{"SCHED_FLAG_KEEP_PARAMS", 0x10},   Constant{"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
                                 Constant{"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};

// man 2 ioprio_set; linux/ioprio.h is no C++ any more (6.1.19x names a parameter "class").
constexpr std::array kIoClasses{Constant{"IOPRIO_CLASS_RT", 1}, Constant{"IOPRIO_CLASS_BE", 2},
                                Constant{"IOPRIO_CLASS_IDLE", 3}};
constexpr int kIoClassShift = 13;

constexpr std::array kPersonas{Constant{"LINUX", PER_LINUX}, Constant{"LINUX32", PER_LINUX32}};
constexpr std::array<Constant, 8> kPersonaFlags{{{"UNAME26", UNAME26},
                                                 {"ADDR_NO_RANDOMIZE", ADDR_NO_RANDOMIZE},
                                                 {"MMAP_PAGE_ZERO", MMAP_PAGE_ZERO},
                                                 {"ADDR_COMPAT_LAYOUT", ADDR_COMPAT_LAYOUT},
                                                 {"ADDR_LIMIT_32BIT", ADDR_LIMIT_32BIT},
                                                 {"SHORT_INODE", SHORT_INODE},
                                                 {"WHOLE_SECONDS", WHOLE_SECONDS},
                                                 {"STICKY_TIMEOUTS", STICKY_TIMEOUTS}}};

constexpr std::array kMemoryModes{Constant{"MPOL_DEFAULT", MPOL_DEFAULT},
                                  Constant{"MPOL_PREFERRED", MPOL_PREFERRED},
                                  Constant{"MPOL_BIND", MPOL_BIND},
                                  Constant{"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
                                  Constant{"MPOL_LOCAL", MPOL_LOCAL},
                                  Constant{"MPOL_PREFERRED_MANY", 5},
                                  Constant{"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr std::array kMemoryFlags{Constant{"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
                                  Constant{"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
                                  Constant{"MPOL_F_NUMA_BALANCING", 1 << 13}};

template <class Table>
Result<long> constant_in(const Table& table, std::string_view name, std::string_view pointer) {
  for (const auto& row : table)
    if (row.name == name) return row.value;
  return Error{Kind::invalid, format_text("{}: unknown value {}", quote(pointer), quote(name))};
}

Result<std::vector<RlimitPlan>> plan_rlimits(const std::vector<oci::Rlimit>& rlimits) {
  std::vector<RlimitPlan> planned;
  for (const auto& item : rlimits) {
    const auto resource = TRY(constant_in(kRlimits, item.type, "/process/rlimits"));
    planned.push_back({.resource = static_cast<int>(resource),
                       .name = item.type,
                       .limit = {.soft = item.soft, .hard = item.hard}});
  }
  return planned;
}

Result<SchedAttr> plan_scheduler(const oci::Scheduler& scheduler) {
  SchedAttr attr;
  attr.policy = static_cast<std::uint32_t>(TRY(constant_in(kPolicies, scheduler.policy, "/process/scheduler/policy")));
  attr.nice = scheduler.nice;
  attr.priority = static_cast<std::uint32_t>(scheduler.priority);
  attr.runtime = scheduler.runtime;
  attr.deadline = scheduler.deadline;
  attr.period = scheduler.period;
  for (const auto& flag : scheduler.flags) {
    const auto value = TRY(constant_in(kSchedFlags, flag, "/process/scheduler/flags"));
    attr.flags |= static_cast<std::uint64_t>(value);
  }
  return attr;
}

Result<MemoryPolicyPlan> plan_memory_policy(const oci::MemoryPolicy& policy) {
  MemoryPolicyPlan plan;
  plan.mode = static_cast<int>(TRY(constant_in(kMemoryModes, policy.mode, "/linux/memoryPolicy/mode")));
  for (const auto& flag : policy.flags) {
    const auto value = TRY(constant_in(kMemoryFlags, flag, "/linux/memoryPolicy/flags"));
    plan.mode |= static_cast<int>(value);
  }
  if (policy.nodes.empty()) return plan;
  const auto nodes = TRY(parse_number_list(policy.nodes, "/linux/memoryPolicy/nodes"));
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  plan.nodes.resize((nodes.size() + kBits - 1) / kBits);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i]) plan.nodes[i / kBits] |= 1UL << (i % kBits);
  // The kernel reads one bit less than it is told. Source: man 2 set_mempolicy, BUGS of get_nodes().
  plan.max_node = plan.nodes.size() * kBits + 1;
  return plan;
}

Result<unsigned long> plan_personality(const oci::Personality& personality) {
  auto persona = static_cast<unsigned long>(
      TRY(constant_in(kPersonas, personality.domain, "/linux/personality/domain")));
  for (const auto& flag : personality.flags) {
    const auto value = TRY(constant_in(kPersonaFlags, flag, "/linux/personality/flags"));
    persona |= static_cast<unsigned long>(value);
  }
  return persona;
}

Result<std::optional<CpuMask>> plan_cpus(const std::string& list, std::string_view pointer) {
  if (list.empty()) return std::optional<CpuMask>{};
  const auto cpus = TRY(parse_number_list(list, pointer));
  CpuMask mask((cpus.size() + 63) / 64 * 8);  // whole longs
  for (std::size_t i = 0; i < cpus.size(); ++i)
    if (cpus[i]) mask[i / 8] = static_cast<unsigned char>(mask[i / 8] | (1U << (i % 8)));
  return std::optional{std::move(mask)};
}

Status plan_extras(ProcessPlan& plan, const oci::Process& process, const oci::Linux& linux, const ProcessContext& context) {
  if (process.scheduler.has_value()) plan.scheduler = TRY(plan_scheduler(*process.scheduler));
  if (process.io_priority.has_value()) {
    const auto io_class = TRY(constant_in(kIoClasses, process.io_priority->io_class, "/process/ioPriority/class"));
    plan.io_priority = (static_cast<int>(io_class) << kIoClassShift) | process.io_priority->priority;
  }
  if (linux.personality.has_value()) plan.persona = TRY(plan_personality(*linux.personality));
  if (linux.memory_policy.has_value()) plan.memory_policy = TRY(plan_memory_policy(*linux.memory_policy));
  if (process.exec_cpu_affinity.has_value() && context.is_exec) {
    const auto& affinity = *process.exec_cpu_affinity;
    plan.initial_affinity = TRY(plan_cpus(affinity.initial, "/process/execCPUAffinity/initial"));
    plan.final_affinity = TRY(plan_cpus(affinity.final, "/process/execCPUAffinity/final"));
  }
  if (linux.seccomp.has_value() && find_annotation(context.annotations, kFailUnknownCall) != nullptr)
    TRY(check_call_names(*linux.seccomp));
  if (linux.seccomp.has_value())
    plan.seccomp = TRY(context.filters != nullptr ? context.filters->get(*linux.seccomp) : compile_seccomp(*linux.seccomp));
  if (plan.seccomp.has_value() && plan.seccomp->has_listener()) {
    plan.listener_path = linux.seccomp->listener_path;
    plan.listener_metadata = linux.seccomp->listener_metadata;
  }
  return ok();
}

}  // namespace

Result<std::vector<bool>> parse_number_list(std::string_view text, std::string_view pointer) {
  constexpr std::uint32_t kMost = 8192;
  const auto bad = [&] { return Error{Kind::invalid, format_text("{}: {} is no list like \"0-3,7\"", quote(pointer), quote(text))}; };
  std::vector<bool> bits;
  for (const auto part : split(text, ',')) {
    const auto dash = part.find('-');
    const auto first = parse_uint32(trim(part.substr(0, dash)));
    const auto last = dash == std::string_view::npos ? first : parse_uint32(trim(part.substr(dash + 1)));
    if (!first.has_value() || !last.has_value()) return bad();
    if (last.value() < first.value() || last.value() >= kMost) return bad();
    if (bits.size() <= last.value()) bits.resize(last.value() + 1U);
    for (auto i = first.value(); i <= last.value(); ++i) bits[i] = true;
  }
  return bits;
}

Result<ProcessPlan> make_process_plan(const oci::Process& process, const oci::Linux& linux,
                                      const ProcessContext& context) {
  ProcessPlan plan;
  plan.args = process.args;
  plan.env = process.env;
  if (!process.cwd.empty()) plan.cwd = process.cwd;
  plan.terminal = process.terminal;
  if (process.terminal) plan.console_size = process.console_size;
  plan.uid = process.user.uid;
  plan.gid = process.user.gid;
  plan.groups.assign(process.user.additional_gids.begin(), process.user.additional_gids.end());
  plan.keep_groups = find_annotation(context.annotations, kKeepGroups) != nullptr;
  plan.umask = static_cast<mode_t>(process.user.umask.value_or(0022));
  if (process.capabilities.has_value()) {  // absent: none at all, the safe reading
    auto caps = plan_capabilities(*process.capabilities);
    plan.caps = caps.sets;
    plan.unknown_caps = std::move(caps.unknown);
  }
  plan.no_new_privileges = process.no_new_privileges;
  plan.rlimits = TRY(plan_rlimits(process.rlimits));
  plan.oom_score_adj = process.oom_score_adj;
  plan.apparmor_profile = process.apparmor_profile;
  plan.selinux_label = process.selinux_label;
  plan.new_keyring = context.new_keyring;
  plan.keyring = format_text("_ses.{}", context.container_id);
  TRY(plan_extras(plan, process, linux, context));
  return plan;
}

}  // namespace husk::runtime
