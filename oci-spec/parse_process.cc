#include "oci-spec/fields.h"
#include "oci-spec/parse_config.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

Result<ConsoleSize> read_console_size(const JsonReader& json) {
  ConsoleSize size;
  TRY(read_required(json, "height", size.height));
  TRY(read_required(json, "width", size.width));
  return size;
}

// config.md#configPOSIXUser. The ids are REQUIRED: a forgotten uid must not silently mean root.
Result<User> read_user(const JsonReader& json) {
  User user;
  TRY(read_required(json, "uid", user.uid));
  TRY(read_required(json, "gid", user.gid));
  TRY(read(json, "umask", user.umask));
  TRY(read(json, "additionalGids", user.additional_gids));
  return user;
}

Result<Capabilities> read_capabilities(const JsonReader& json) {
  Capabilities sets;
  TRY(read(json, "bounding", sets.bounding));
  TRY(read(json, "effective", sets.effective));
  TRY(read(json, "inheritable", sets.inheritable));
  TRY(read(json, "permitted", sets.permitted));
  TRY(read(json, "ambient", sets.ambient));
  return sets;
}

Result<Rlimit> read_rlimit(const JsonReader& json) {
  Rlimit limit;
  TRY(read_required(json, "type", limit.type));
  TRY(read_required(json, "soft", limit.soft));
  TRY(read_required(json, "hard", limit.hard));
  return limit;
}

Result<Scheduler> read_scheduler(const JsonReader& json) {
  Scheduler scheduler;
  TRY(read_required(json, "policy", scheduler.policy));
  TRY(read(json, "nice", scheduler.nice));
  TRY(read(json, "priority", scheduler.priority));
  TRY(read(json, "flags", scheduler.flags));
  TRY(read(json, "runtime", scheduler.runtime));
  TRY(read(json, "deadline", scheduler.deadline));
  TRY(read(json, "period", scheduler.period));
  return scheduler;
}

Result<IoPriority> read_io_priority(const JsonReader& json) {
  IoPriority priority;
  TRY(read_required(json, "class", priority.io_class));
  TRY(read(json, "priority", priority.priority));  // Go writers omit a zero
  return priority;
}

Result<ExecCpuAffinity> read_affinity(const JsonReader& json) {
  ExecCpuAffinity affinity;
  TRY(read(json, "initial", affinity.initial));
  TRY(read(json, "final", affinity.final));
  return affinity;
}

Status read_linux_fields(const JsonReader& json, Process& process) {
  TRY(read_object(json, "capabilities", process.capabilities, read_capabilities));
  TRY(read_list(json, "rlimits", process.rlimits, kMaxStrings, read_rlimit));
  TRY(read(json, "noNewPrivileges", process.no_new_privileges));
  TRY(read(json, "apparmorProfile", process.apparmor_profile));
  TRY(read(json, "selinuxLabel", process.selinux_label));
  TRY(read(json, "oomScoreAdj", process.oom_score_adj));
  TRY(read_object(json, "scheduler", process.scheduler, read_scheduler));
  TRY(read_object(json, "ioPriority", process.io_priority, read_io_priority));
  return read_object(json, "execCPUAffinity", process.exec_cpu_affinity, read_affinity);
}

Result<Process> parse_valid_process(std::string_view text) {
  const auto json = TRY(parse_json(text));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  auto process = TRY(read_process(reader));
  TRY(validate_process(process, ""));
  return process;
}

}  // namespace

// config.md#configProcess
Result<Process> read_process(const JsonReader& json) {
  Process process;
  TRY(read(json, "terminal", process.terminal));
  TRY(read_object(json, "consoleSize", process.console_size, read_console_size));
  TRY(read_object(json, "user", process.user, read_user));
  TRY(read(json, "args", process.args));
  TRY(read(json, "env", process.env));
  TRY(read_required(json, "cwd", process.cwd));
  TRY(read_linux_fields(json, process));
  return process;
}

Result<Process> parse_process(std::string_view text) {
  auto process = parse_valid_process(text);
  if (!process.has_value()) return cite(std::move(process).error(), "/process");
  return process;
}

}  // namespace husk::oci
