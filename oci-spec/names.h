// Words of the specification, as data: the parser, the writer, the rules and the `features` document
// read the same tables. Source: runtime-spec v1.3.0 config.md, config-linux.md.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "oci-spec/runtime_spec.h"

namespace husk::oci {

struct NamespaceName {
  NamespaceType type;
  std::string_view name;
};
// config-linux.md#configLinuxNamespaces
inline constexpr std::array kNamespaceNames{
    NamespaceName{NamespaceType::cgroup, "cgroup"}, NamespaceName{NamespaceType::ipc, "ipc"},
    NamespaceName{NamespaceType::mount, "mount"},   NamespaceName{NamespaceType::network, "network"},
    NamespaceName{NamespaceType::pid, "pid"},       NamespaceName{NamespaceType::time, "time"},
    NamespaceName{NamespaceType::user, "user"},     NamespaceName{NamespaceType::uts, "uts"}};
std::string_view namespace_name(NamespaceType type);
std::optional<NamespaceType> find_namespace_type(std::string_view name);

struct HookStage {
  std::string_view name;
  std::vector<Hook> Hooks::*hooks;
};
// config.md#configHooks, in the order they run.
inline constexpr std::array kHookStages{HookStage{"prestart", &Hooks::prestart},
                                        HookStage{"createRuntime", &Hooks::create_runtime},
                                        HookStage{"createContainer", &Hooks::create_container},
                                        HookStage{"startContainer", &Hooks::start_container},
                                        HookStage{"poststart", &Hooks::poststart},
                                        HookStage{"poststop", &Hooks::poststop}};

using Words = std::string_view;
// man 2 getrlimit
inline constexpr std::array<Words, 16> kRlimits{
    "RLIMIT_AS",    "RLIMIT_CORE",     "RLIMIT_CPU",  "RLIMIT_DATA",  "RLIMIT_FSIZE",  "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
    "RLIMIT_RTPRIO", "RLIMIT_RTTIME",   "RLIMIT_SIGPENDING", "RLIMIT_STACK"};
// config.md#configLinuxProcess
inline constexpr std::array<Words, 7> kSchedulerPolicies{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",      "SCHED_BATCH",
                                                         "SCHED_ISO",   "SCHED_IDLE", "SCHED_DEADLINE"};
inline constexpr std::array<Words, 7> kSchedulerFlags{
    "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",        "SCHED_FLAG_DL_OVERRUN",    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"};
inline constexpr std::array<Words, 3> kIoClasses{"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
// config-linux.md#configLinuxSeccomp
inline constexpr std::array<Words, 9> kSeccompActions{
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",  "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY"};
inline constexpr std::array<Words, 7> kSeccompOperators{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                                        "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
inline constexpr std::array<Words, 23> kSeccompArchs{
    "SCMP_ARCH_X86",    "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",      "SCMP_ARCH_ARM",         "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",   "SCMP_ARCH_MIPS64",   "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",     "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64",    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",  "SCMP_ARCH_PARISC",   "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",     "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",   "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB"};
inline constexpr std::array<Words, 4> kSeccompFlags{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                                    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                                    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
// config-linux.md#configLinuxMemoryPolicy
inline constexpr std::array<Words, 7> kMemoryPolicyModes{
    "MPOL_DEFAULT",   "MPOL_BIND",           "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"};
inline constexpr std::array<Words, 3> kMemoryPolicyFlags{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES",
                                                         "MPOL_F_STATIC_NODES"};
// config-linux.md#configLinuxPersonality names no flag yet: these are the kernel's, man 2 personality. READ_IMPLIES_EXEC
// is none of them, because an exec takes it back.
inline constexpr std::array<Words, 2> kPersonalityDomains{"LINUX", "LINUX32"};
inline constexpr std::array<Words, 8> kPersonalityFlags{
    "UNAME26",          "ADDR_NO_RANDOMIZE", "MMAP_PAGE_ZERO", "ADDR_COMPAT_LAYOUT",
    "ADDR_LIMIT_32BIT", "SHORT_INODE",       "WHOLE_SECONDS",  "STICKY_TIMEOUTS"};
// config-linux.md#configLinuxRootfsMountPropagation; the r forms are what every runtime accepts.
inline constexpr std::array<Words, 8> kPropagations{"private",  "rprivate", "shared",     "rshared",
                                                    "slave",    "rslave",   "unbindable", "runbindable"};

template <std::size_t N>
constexpr bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  for (const auto known : words)
    if (known == word) return true;
  return false;
}

}  // namespace husk::oci
