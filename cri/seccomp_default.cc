// The profile behind RuntimeDefault, as tables: what programs need, without what reaches the kernel's
// administration (modules, kexec, clocks, swap, keyrings, bpf, namespaces, mounts, raw I/O ports,
// io_uring, userfaultfd). Names are the kernel's (man 2 syscalls); those that an architecture or an
// older libseccomp lacks are passed over by the runtime.
#include <algorithm>
#include <array>
#include <span>

#include "base/format.h"
#include "base/text.h"
#include "cri/make_spec.h"
#include "oci-spec/json.h"
#include "oci-spec/parse_config.h"

namespace husk::cri {
namespace {

constexpr const char* kAllow = "SCMP_ACT_ALLOW";
constexpr const char* kErrno = "SCMP_ACT_ERRNO";

// Allowed for everybody, by subject.
constexpr std::string_view kFiles =
    "access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
    "fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr fsetxattr fstat fstat64 "
    "fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr "
    "listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at "
    "newfstatat oldfstat oldlstat oldolduname oldstat oldwait4 open openat openat2 pread64 preadv preadv2 pwrite64 pwritev "
    "pwritev2 read readahead readdir readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir "
    "sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range "
    "sync_file_range2 syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice "
    "write writev";
constexpr std::string_view kProcesses =
    "alarm arch_prctl arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush capget capset execve execveat exit "
    "exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area "
    "getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid "
    "getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 "
    "ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self membarrier modify_ldt nanosleep "
    "nice olduname pause pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease process_vm_readv process_vm_writev ptrace "
    "restart_syscall riscv_flush_icache riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr "
    "sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp "
    "set_robust_list set_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 "
    "setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 "
    "setreuid setreuid32 setrlimit setsid setuid setuid32 sgetmask sigaction sigaltstack signal signalfd signalfd4 "
    "sigpending sigprocmask sigreturn sigsuspend ssetmask sysinfo tgkill time timer_create timer_delete timer_getoverrun "
    "timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 times tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid";
constexpr std::string_view kMemory =
    "brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 "
    "mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
    "remap_file_pages";
constexpr std::string_view kTalking =
    "accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
    "epoll_wait_old eventfd eventfd2 getpeername getrandom getsockname getsockopt io_cancel io_destroy io_getevents "
    "io_pgetevents io_pgetevents_time64 io_setup io_submit ipc listen mq_getsetattr mq_notify mq_open mq_timedreceive "
    "mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd _newselect pipe pipe2 "
    "poll ppoll ppoll_time64 pselect6 pselect6_time64 recv recvfrom recvmmsg recvmmsg_time64 recvmsg select semctl semget "
    "semop semtimedop semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown "
    "socketcall socketpair";
constexpr std::string_view kClocks =
    "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 gettimeofday";

// Allowed with a capability in the bounding set: the kernel checks it again at the call.
struct WithCapability {
  std::string_view capability;
  std::string_view calls;
};
constexpr std::array kWithCapability{
    WithCapability{"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    WithCapability{"CAP_SYS_ADMIN",
                   "bpf clone clone3 fanotify_init fanotify_mark fsconfig fsmount fsopen fspick listmount lookup_dcookie "
                   "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree "
                   "open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns statmount syslog "
                   "umount umount2 unshare"},
    WithCapability{"CAP_SYS_BOOT", "reboot"},
    WithCapability{"CAP_SYS_CHROOT", "chroot"},
    WithCapability{"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    WithCapability{"CAP_SYS_PACCT", "acct"},
    WithCapability{"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    WithCapability{"CAP_SYS_RAWIO", "ioperm iopl"},
    WithCapability{"CAP_SYS_TIME", "adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime"},
    WithCapability{"CAP_SYS_TTY_CONFIG", "vhangup"},
    WithCapability{"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    WithCapability{"CAP_SYSLOG", "syslog"},
    WithCapability{"CAP_BPF", "bpf"},
    WithCapability{"CAP_PERFMON", "perf_event_open"},
};

// CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET. Source: linux/sched.h.
constexpr std::uint64_t kNamespaceFlags = 0x7E02'0000;
constexpr std::uint32_t kEnosys = 38;
constexpr std::uint32_t kEperm = 1;
// Source: linux/personality.h: PER_LINUX, PER_LINUX32, UNAME26 with either, "which is it?".
constexpr std::array<std::uint64_t, 5> kPersonas{0x0, 0x8, 0x2'0000, 0x2'0008, 0xFFFF'FFFF};

void append_names(std::vector<std::string>& names, std::string_view text) {
  for (const auto name : words_of(text)) names.emplace_back(name);
}

bool has(const oci::Capabilities& capabilities, std::string_view name) {
  return std::ranges::find(capabilities.bounding, name) != capabilities.bounding.end();
}

oci::SeccompRule allow_when(const char* call, std::uint64_t value, std::uint64_t value_two, const char* op) {
  return {.names = {call},
          .action = kAllow,
          .errno_ret = {},
          .args = {{.index = 0, .value = value, .value_two = value_two, .op = op}}};
}

}  // namespace

oci::Seccomp default_seccomp(const oci::Capabilities& capabilities) {
  oci::Seccomp profile;
  profile.default_action = kErrno;
  profile.default_errno_ret = kEperm;
#if defined(__x86_64__)
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif
  oci::SeccompRule allowed{.names = {}, .action = kAllow, .errno_ret = {}, .args = {}};
  for (const auto text : {kFiles, kProcesses, kMemory, kTalking, kClocks}) append_names(allowed.names, text);
  for (const auto& row : kWithCapability)
    if (has(capabilities, row.capability)) append_names(allowed.names, row.calls);
  std::ranges::sort(allowed.names);
  const auto doubles = std::ranges::unique(allowed.names);
  allowed.names.erase(doubles.begin(), doubles.end());
  profile.syscalls.push_back(std::move(allowed));

  for (const auto persona : kPersonas) profile.syscalls.push_back(allow_when("personality", persona, 0, "SCMP_CMP_EQ"));
  // Not AF_ALG (38: kernel crypto, a row of CVEs) and not AF_VSOCK (40: reaches the hypervisor, no namespace).
  profile.syscalls.push_back(allow_when("socket", 38, 0, "SCMP_CMP_LT"));
  profile.syscalls.push_back(allow_when("socket", 39, 0, "SCMP_CMP_EQ"));
  profile.syscalls.push_back(allow_when("socket", 40, 0, "SCMP_CMP_GT"));
  if (!has(capabilities, "CAP_SYS_ADMIN")) {
    profile.syscalls.push_back(allow_when("clone", kNamespaceFlags, 0, "SCMP_CMP_MASKED_EQ"));
    // Its flags lie in memory, where a filter cannot look: libraries fall back to clone on ENOSYS.
    profile.syscalls.push_back({.names = {"clone3"}, .action = kErrno, .errno_ret = kEnosys, .args = {}});
  }
  return profile;
}

Result<oci::Seccomp> parse_seccomp_profile(std::string_view text, const std::string& name) {
  auto profile = TRY(oci::parse_json(text).during(format_text("seccomp profile {}", quote(name))));
  if (!profile.is_object()) return Error{Kind::invalid, format_text("seccomp profile {} is no JSON object", quote(name))};
  oci::Json config = oci::Json::object();
  config.set("ociVersion", oci::kSpecVersion);
  config.set("root", oci::Json::object().set("path", "/"));
  config.set("linux", oci::Json::object().set("seccomp", std::move(profile)));
  auto spec = TRY(oci::parse_config(config.dump()).during(format_text("seccomp profile {}", quote(name))));
  if (!spec.linux.seccomp.has_value())
    return Error{Kind::invalid, format_text("seccomp profile {} is empty", quote(name))};
  return std::move(*spec.linux.seccomp);
}

}  // namespace husk::cri
