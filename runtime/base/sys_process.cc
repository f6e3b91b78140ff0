#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/sys.h"
#include "base/sys_check.h"
#include "base/text.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace husk::sys {
namespace {

WaitResult wait_result(const siginfo_t& info) {
  WaitResult result{.pid = info.si_pid};
  if (info.si_pid == 0) return result;
  if (info.si_code == CLD_EXITED) {
    result.status = info.si_status;
  } else if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
    result.signal = info.si_status;
    result.status = 128 + info.si_status;
  } else {
    result.stopped = true;
  }
  return result;
}

Result<WaitResult> wait_for(idtype_t type, id_t id, int options, std::string_view what) {
  siginfo_t info{};
  if (failed(retry_eintr([&] { return ::waitid(type, id, &info, options); })))
    return call_error([&] {
      return format_text("waitid({}{})", what, type == static_cast<idtype_t>(P_PIDFD) ? "" : format_text(" {}", id));
    }).as(errno == ECHILD ? Kind::not_found : Kind::internal);
  return wait_result(info);
}

}  // namespace

Result<CloneResult> clone3(const CloneArgs& args) {
  clone_args raw{};
  int pidfd = -1;
  raw.flags = args.flags | CLONE_PIDFD;
  raw.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  raw.exit_signal = static_cast<std::uint64_t>(args.exit_signal);
  if (args.cgroup_fd >= 0) {
    raw.flags |= CLONE_INTO_CGROUP;
    raw.cgroup = static_cast<std::uint64_t>(args.cgroup_fd);
  }
  const auto pid = ::syscall(SYS_clone3, &raw, sizeof raw);
  if (failed(pid)) return call_error([&] { return format_text("clone3(flags {:#x})", raw.flags); });
  CloneResult result;
  result.pid = static_cast<pid_t>(pid);
  if (pid != 0) result.pidfd.reset(pidfd);
  return result;
}

Result<UniqueFd> pidfd_open(pid_t pid, unsigned flags) {
  return fd_of(::syscall(SYS_pidfd_open, pid, flags), [&] { return format_text("pidfd_open({})", pid); });
}

Status pidfd_send_signal(int pidfd, int signal) {
  return status_of(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0),
                   [&] { return format_text("pidfd_send_signal({})", signal); });
}

Status kill(pid_t pid, int signal) {
  return status_of(::kill(pid, signal), [&] { return format_text("kill({}, {})", pid, signal); });
}

Result<WaitResult> waitid_pidfd(int pidfd, int options) {
  return wait_for(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), options, "pidfd");
}

namespace {

// linux/pidfd.h of kernel 6.15, which Debian 12 does not have.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::array<std::uint32_t, 11> ids;
  std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t kPidfdInfoExit = 1U << 3U;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

}  // namespace

std::optional<int> find_reaped_status(int pidfd) {
  PidfdInfo info{};
  info.mask = kPidfdInfoExit;
  if (failed(::ioctl(pidfd, kPidfdGetInfo, &info)) || (info.mask & kPidfdInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

Result<WaitResult> waitid_any(int options) { return wait_for(P_ALL, 0, options, "any"); }

Result<WaitResult> waitpid(pid_t pid, int options) {
  return wait_for(P_PID, static_cast<id_t>(pid), options | WEXITED, "pid");
}

Status unshare(int flags) {
  return status_of(::unshare(flags), [&] { return format_text("unshare({:#x})", static_cast<unsigned>(flags)); });
}

Status setns(int fd, int type) {
  return status_of(::setns(fd, type),
                   [&] { return format_text("setns({}, {:#x})", fd_text(fd), static_cast<unsigned>(type)); });
}

Status prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return status_of(::prctl(option, a, b, c, d), [&] { return format_text("prctl({}, {})", option, a); });
}

Status set_no_new_privs() { return prctl(PR_SET_NO_NEW_PRIVS, 1); }
Status set_dumpable(bool on) { return prctl(PR_SET_DUMPABLE, on ? 1 : 0); }
Status set_child_subreaper(bool on) { return prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0); }
Status set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(signal)); }
Status set_keepcaps(bool on) { return prctl(PR_SET_KEEPCAPS, on ? 1 : 0); }

Result<int> prctl_value(int option, unsigned long a) {
  const int result = ::prctl(option, a, 0UL, 0UL, 0UL);
  if (failed(result)) return call_error([&] { return format_text("prctl({}, {})", option, a); });
  return result;
}

Status capset(const CapabilitySets& sets) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = {.effective = static_cast<std::uint32_t>(sets.effective >> (32 * i)),
               .permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * i)),
               .inheritable = static_cast<std::uint32_t>(sets.inheritable >> (32 * i))};
  return status_of(::syscall(SYS_capset, &header, data.data()), [&] {
    return format_text("capset(effective {:#x}, permitted {:#x}, inheritable {:#x})", sets.effective, sets.permitted,
                       sets.inheritable);
  });
}

Status setsid() {
  return status_of(::setsid(), [] { return std::string{"setsid()"}; });
}

// Raw calls: glibc's signal every thread, and a child between clone and exec has only one.
Status setresuid(uid_t uid) {
  return status_of(::syscall(SYS_setresuid, uid, uid, uid), [&] { return format_text("setresuid({})", uid); });
}

Status setresgid(gid_t gid) {
  return status_of(::syscall(SYS_setresgid, gid, gid, gid), [&] { return format_text("setresgid({})", gid); });
}

Status setgroups(const std::vector<gid_t>& groups) {
  return status_of(::syscall(SYS_setgroups, groups.size(), groups.data()),
                   [&] { return format_text("setgroups({} groups)", groups.size()); });
}

Status sethostname(std::string_view name) {
  return status_of(::sethostname(name.data(), name.size()), [&] { return format_text("sethostname({})", quote(name)); });
}

Status setdomainname(std::string_view name) {
  return status_of(::setdomainname(name.data(), name.size()),
                   [&] { return format_text("setdomainname({})", quote(name)); });
}

Status setrlimit(int resource, Limit limit) {
  const rlimit64 raw{.rlim_cur = limit.soft, .rlim_max = limit.hard};
  return status_of(::prlimit64(0, static_cast<__rlimit_resource>(resource), &raw, nullptr),
                   [&] { return format_text("setrlimit({}, soft {}, hard {})", resource, limit.soft, limit.hard); });
}

Result<Limit> getrlimit(int resource) {
  rlimit64 raw{};
  if (failed(::prlimit64(0, static_cast<__rlimit_resource>(resource), nullptr, &raw)))
    return call_error([&] { return format_text("getrlimit({})", resource); });
  return Limit{.soft = raw.rlim_cur, .hard = raw.rlim_max};
}

Status raise_hard_limit(pid_t pid, int resource, std::uint64_t hard) {
  const auto describe = [&] { return format_text("prlimit({}, {}, hard {})", pid, resource, hard); };
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit64 raw{};
  if (failed(::prlimit64(pid, which, nullptr, &raw))) return call_error(describe);
  if (raw.rlim_max >= hard) return ok();
  raw.rlim_max = hard;
  return status_of(::prlimit64(pid, which, &raw, nullptr), describe);
}

Result<int> ioctl(int fd, unsigned long request, void* argument, std::string_view name) {
  const int result = ::ioctl(fd, request, argument);
  if (failed(result)) return call_error([&] { return format_text("ioctl({}, {})", fd_text(fd), name); });
  return result;
}

Status execve(const std::string& path, char* const* argv, char* const* envp) {
  return status_of(::execve(path.c_str(), argv, envp), [&] { return format_text("execve({})", quote(path)); });
}

Status execveat(int fd, char* const* argv, char* const* envp) {
  return status_of(::syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH),
                   [&] { return format_text("execveat({})", fd_text(fd)); });
}

Result<UniqueFd> signalfd(const std::vector<int>& signals) {
  sigset_t set;
  (void)::sigemptyset(&set);
  for (const int signal : signals) (void)::sigaddset(&set, signal);
  if (failed(::sigprocmask(SIG_BLOCK, &set, nullptr))) return call_error([] { return std::string{"sigprocmask()"}; });
  return fd_of(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), [] { return std::string{"signalfd()"}; });
}

Result<UniqueFd> timerfd() {
  return fd_of(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
               [] { return std::string{"timerfd_create()"}; });
}

Status timerfd_arm(int fd, std::int64_t after_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  itimerspec when{};
  when.it_value.tv_sec = after_ns / kSecond;
  when.it_value.tv_nsec = after_ns % kSecond;
  return status_of(::timerfd_settime(fd, 0, &when, nullptr), [&] { return format_text("timerfd_settime({})", after_ns); });
}

Result<UniqueFd> eventfd() {
  return fd_of(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), [] { return std::string{"eventfd()"}; });
}

Result<UniqueFd> inotify_init() {
  return fd_of(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), [] { return std::string{"inotify_init1()"}; });
}

Result<int> inotify_add_watch(int fd, const std::string& path, std::uint32_t mask) {
  const int watch = ::inotify_add_watch(fd, path.c_str(), mask);
  if (failed(watch)) return call_error([&] { return format_text("inotify_add_watch({})", quote(path)); });
  return watch;
}

Status keyctl_join_session(const std::string& name) {
  return status_of(::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()),
                   [&] { return format_text("keyctl(join session {})", quote(name)); });
}

Status personality(unsigned long persona) {
  return status_of(::personality(persona), [&] { return format_text("personality({:#x})", persona); });
}

Status sched_setattr_raw(const void* attr) {
  return status_of(::syscall(SYS_sched_setattr, 0, attr, 0), [] { return std::string{"sched_setattr()"}; });
}

Status ioprio_set(int value) {
  // linux/ioprio.h is no C++ any more (6.1.19x names a parameter "class").
  constexpr int kWhoProcess = 1;  // IOPRIO_WHO_PROCESS
  return status_of(::syscall(SYS_ioprio_set, kWhoProcess, 0, value),
                   [&] { return format_text("ioprio_set({:#x})", static_cast<unsigned>(value)); });
}

Status set_mempolicy(int mode, const std::vector<unsigned long>& node_mask, unsigned long max_node) {
  return status_of(::syscall(SYS_set_mempolicy, mode, node_mask.empty() ? nullptr : node_mask.data(), max_node),
                   [&] { return format_text("set_mempolicy({})", mode); });
}

Status sched_setaffinity(pid_t pid, const std::vector<unsigned char>& mask) {
  return status_of(::syscall(SYS_sched_setaffinity, pid, mask.size(), mask.data()),
                   [&] { return format_text("sched_setaffinity({})", pid); });
}

Result<int> bpf(int command, void* attr, std::size_t size, std::string_view name) {
  const auto result = ::syscall(SYS_bpf, command, attr, size);
  if (failed(result)) return call_error([&] { return format_text("bpf({})", name); });
  return static_cast<int>(result);
}

}  // namespace husk::sys
