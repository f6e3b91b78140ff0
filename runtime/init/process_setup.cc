#include "init/process_setup.h"

#include <errno.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "init/credentials.h"
#include "init/terminal.h"
#include "labels.h"

namespace husk::runtime {
namespace {

// Without CAP_SYS_RESOURCE a hard limit cannot be raised: the nearest allowed value, and one warning.
Status apply_rlimit(const RlimitPlan& item, const Channel& channel) {
  auto done = sys::setrlimit(item.resource, item.limit);
  if (done.has_value() || done.error().os_errno() != EPERM) return std::move(done).during(format_text("set {}", item.name));
  const auto now = TRY(sys::getrlimit(item.resource));
  const sys::Limit nearest{.soft = std::min(item.limit.soft, now.hard), .hard = std::min(item.limit.hard, now.hard)};
  TRY(sys::setrlimit(item.resource, nearest).during(format_text("set {}", item.name)));
  return channel.send_warning(format_text(
      "{}: the hard limit stays {} instead of {}: raising it needs CAP_SYS_RESOURCE", item.name, now.hard, item.limit.hard));
}

// Source: man 2 sched_setattr; kernel Documentation/scheduler/sched-rt-group.rst.
std::string why_not_scheduled(int error) {
  switch (error) {
    case EPERM:
      return "real-time and deadline policies need CAP_SYS_NICE; a kernel with CONFIG_RT_GROUP_SCHED keeps the first for cgroup v1 with "
             "\"/linux/resources/cpu/realtimeRuntime\"";
    case EINVAL: return "this kernel does not have the policy, or not with these values";
    case EBUSY: return "the processors have not that much time left: lower runtime, or raise period";
    default: return "";
  }
}

// The caller's CPU affinity is not the container's: since kernel 6.2 it would go on to narrow what the cpuset gives, which
// is all that counts then. Source: __set_cpus_allowed_ptr() in kernel/sched/core.c, user_cpus_ptr.
void forget_affinity(const ProcessPlan& plan) {
  if (plan.initial_affinity.has_value() || plan.final_affinity.has_value()) return;
  constexpr std::size_t kBytes = 1024;                            // far above any kernel's NR_CPUS
  (void)sys::sched_setaffinity(0, CpuMask(kBytes, 0xff));  // a kernel that has it not has none to forget
}

Status apply_scheduling(const ProcessPlan& plan) {
  forget_affinity(plan);
  if (plan.scheduler.has_value()) {
    auto done = sys::sched_setattr_raw(&*plan.scheduler);
    auto hint = why_not_scheduled(done.has_value() ? 0 : done.error().os_errno());
    TRY(std::move(done).during("apply /process/scheduler").hint(std::move(hint)));
  }
  if (plan.io_priority.has_value()) TRY(sys::ioprio_set(*plan.io_priority).during("apply /process/ioPriority"));
  if (plan.persona.has_value()) TRY(sys::personality(*plan.persona).during("apply /linux/personality"));
  if (plan.memory_policy.has_value())
    TRY(sys::set_mempolicy(plan.memory_policy->mode, plan.memory_policy->nodes, plan.memory_policy->max_node)
            .during("apply /linux/memoryPolicy"));
  if (plan.final_affinity.has_value())
    TRY(sys::sched_setaffinity(0, *plan.final_affinity).during("apply /process/execCPUAffinity/final"));
  return ok();
}

bool has_variable(const std::vector<std::string>& env, std::string_view prefix) {
  return std::any_of(env.begin(), env.end(), [&](const auto& item) { return item.starts_with(prefix); });
}

// The home directory of `uid` in the image's user database; "/" without an entry. Names are never
// looked up, so an image cannot rename a user (CVE-2016-3697).
std::string home_of(uid_t uid, const RootDir& root) {
  constexpr std::size_t kMost = 1U << 20U;
  const auto text = root.read_file("/etc/passwd", kMost);
  if (!text.has_value()) return uid == 0 ? "/root" : "/";
  for (const auto line : split(text.value(), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 6) continue;
    const auto found = parse_uint32(fields[2]);
    if (found.has_value() && found.value() == uid && fields[5].starts_with('/')) return std::string{fields[5]};
  }
  return "/";
}

Status make_cwd(const std::string& cwd, const RootDir& root) {
  auto made = root.make_directories(cwd, 0755);
  // A read-only rootfs or a file in the way: chdir below names the reason.
  if (made.has_value() || made.error().os_errno() == EROFS || made.error().os_errno() == EACCES) return ok();
  return std::move(made).error().during("make the working directory");
}

// CVE-2024-21626: a cwd like /proc/self/fd/7 must not lead to a directory outside the container's
// root; the kernel then reports a path that does not begin with "/". Source: man 3 getcwd.
Status verify_cwd() {
  const auto now = sys::getcwd();
  if (now.has_value() && now.value().starts_with('/')) return ok();
  return Error{Kind::denied, "current working directory is outside of container mount namespace root"}.hint(
      "process.cwd must be a plain path inside the container");
}

Status enter_cwd(const std::string& cwd) {
  TRY(sys::chdir(cwd).during("change to the working directory"));
  return verify_cwd();
}

}  // namespace

Status start_session(const ProcessPlan& plan, const UniqueFd& proc) {
  TRY(sys::setsid());
  return plan.new_keyring ? join_keyring(proc.get(), plan) : ok();
}

Result<Payload> set_up_process(const ProcessPlan& plan, const RootDir& root, const Channel& channel,
                               const FileIdentity& own, const UniqueFd& proc) {
  TRY(apply_scheduling(plan));
  (void)sys::umask(0);  // a missing cwd gets its mode in full
  TRY(make_cwd(plan.cwd, root));
  (void)sys::umask(plan.umask);
  auto env = plan.env;
  if (!has_variable(env, "HOME=")) env.push_back("HOME=" + home_of(plan.uid, root));
  // A cwd may be open to root only, or (NFS, user namespaces) to the user only: both are tried.
  const auto as_root = enter_cwd(plan.cwd);
  const bool denied = !as_root.has_value() && as_root.error().os_errno() == EACCES;
  if (!as_root.has_value() && !denied) return as_root.error();
  for (const auto& item : plan.rlimits) TRY(apply_rlimit(item, channel));
  TRY(set_exec_labels(proc.get(), plan));  // startContainer hooks run under them too, as with its credentials
  TRY(apply_credentials(plan, channel).during("set credentials"));
  if (denied) TRY(enter_cwd(plan.cwd));
  auto path = TRY(find_program(plan.args.front(), env));
  auto hint = TRY(check_program(path, own));
  return Payload{.path = std::move(path),
                 .argv = ArgBlock{plan.args},
                 .envp = ArgBlock{std::move(env)},
                 .filter = plan.seccomp.has_value() ? &*plan.seccomp : nullptr,
                 .format_hint = std::move(hint)};
}

}  // namespace husk::runtime
