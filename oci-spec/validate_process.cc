#include <algorithm>

#include "oci-spec/parse_config.h"
#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

constexpr std::uint32_t kInvalidId = 0xffffffffU;  // (uid_t)-1: "leave it" for setresuid
constexpr std::uint32_t kMaxUmask = 0777;

// config.md#configPOSIXUser
Status check_user(const User& user, const std::string& pointer) {
  if (user.uid == kInvalidId) return rule_error(at(pointer, "uid"), "4294967295 is no user id");
  if (user.gid == kInvalidId) return rule_error(at(pointer, "gid"), "4294967295 is no group id");
  if (std::ranges::find(user.additional_gids, kInvalidId) != user.additional_gids.end())
    return rule_error(at(pointer, "additionalGids"), "4294967295 is no group id");
  if (user.umask.value_or(0) > kMaxUmask)
    return rule_error(at(pointer, "umask"), format_text("{} has more than permission bits (0777)", *user.umask));
  return ok();
}

// man 2 ioctl_tty: struct winsize has 16 bits for each, and a larger number would be cut to another one.
Status check_console_size(const std::optional<ConsoleSize>& size, std::string_view pointer) {
  constexpr std::uint32_t kMost = 0xffff;
  if (size.value_or(ConsoleSize{}).height <= kMost && size.value_or(ConsoleSize{}).width <= kMost) return ok();
  return rule_error(at(pointer, "consoleSize"), format_text("{} lines of {} characters are more than the kernel's {} each",
                                                            size->height, size->width, kMost));
}

// config.md#configPOSIXProcess; man 2 setrlimit (EINVAL: soft above hard)
Status check_rlimits(const std::vector<Rlimit>& limits, std::string_view pointer) {
  std::vector<std::string_view> seen;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const auto place = at(pointer, "rlimits", i);
    TRY(check_word(at(place, "type"), limits[i].type, kRlimits));
    if (std::ranges::find(seen, limits[i].type) != seen.end())
      return rule_error(place, format_text("duplicate entry for {}", limits[i].type));
    seen.push_back(limits[i].type);
    if (limits[i].soft > limits[i].hard)
      return rule_error(place, format_text("soft limit {} is above hard limit {}", limits[i].soft, limits[i].hard));
  }
  return ok();
}

// Which numbers go with which policy: man 2 sched_setattr, man 7 sched.
Status check_scheduler(const Scheduler& scheduler, const std::string& pointer) {
  TRY(check_word(at(pointer, "policy"), scheduler.policy, kSchedulerPolicies));
  TRY(check_words(pointer, "flags", scheduler.flags, kSchedulerFlags));
  if (scheduler.nice < -20 || scheduler.nice > 19)
    return rule_error(at(pointer, "nice"), format_text("{} is not from -20 to 19", scheduler.nice));
  const bool realtime = scheduler.policy == "SCHED_FIFO" || scheduler.policy == "SCHED_RR";
  if (realtime && (scheduler.priority < 1 || scheduler.priority > 99))
    return rule_error(at(pointer, "priority"), format_text("{} is not from 1 to 99", scheduler.priority));
  if (!realtime && scheduler.priority != 0)
    return rule_error(at(pointer, "priority"), "is only for SCHED_FIFO and SCHED_RR");
  const bool timed = scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0;
  if (timed && scheduler.policy != "SCHED_DEADLINE")
    return rule_error(pointer, "\"runtime\", \"deadline\" and \"period\" are only for SCHED_DEADLINE");
  return ok();
}

// config.md#configLinuxProcess
Status check_linux_fields(const Process& process, std::string_view pointer) {
  const auto score = process.oom_score_adj.value_or(0);
  if (score < -1000 || score > 1000)
    return rule_error(at(pointer, "oomScoreAdj"), format_text("{} is not from -1000 to 1000", score));
  if (process.scheduler.has_value()) TRY(check_scheduler(*process.scheduler, at(pointer, "scheduler")));
  if (process.io_priority.has_value()) {
    const auto place = at(pointer, "ioPriority");
    TRY(check_word(at(place, "class"), process.io_priority->io_class, kIoClasses));
    if (process.io_priority->priority < 0 || process.io_priority->priority > 7)
      return rule_error(at(place, "priority"), format_text("{} is not from 0 to 7", process.io_priority->priority));
  }
  if (process.exec_cpu_affinity.has_value()) {
    const auto place = at(pointer, "execCPUAffinity");
    TRY(check_cpu_list(at(place, "initial"), process.exec_cpu_affinity->initial));
    TRY(check_cpu_list(at(place, "final"), process.exec_cpu_affinity->final));
  }
  TRY(check_one_line(at(pointer, "apparmorProfile"), process.apparmor_profile));
  return check_one_line(at(pointer, "selinuxLabel"), process.selinux_label);
}

}  // namespace

// Capability names are not checked: one that cannot be granted is a warning (config.md#configLinuxProcess).
Status validate_process(const Process& process, std::string_view pointer) {
  TRY(check_absolute(at(pointer, "cwd"), process.cwd));
  if (process.args.empty()) return rule_error(at(pointer, "args"), "at least one entry is required");
  TRY(check_console_size(process.console_size, pointer));
  TRY(check_user(process.user, at(pointer, "user")));
  TRY(check_rlimits(process.rlimits, pointer));
  return check_linux_fields(process, pointer);
}

}  // namespace husk::oci
