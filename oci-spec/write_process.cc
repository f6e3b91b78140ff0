#include "oci-spec/write_parts.h"

namespace husk::oci {
namespace {

Json console_size_json(const ConsoleSize& size) {
  Json json = Json::object();
  put_required(json, "height", size.height);
  put_required(json, "width", size.width);
  return json;
}

Json user_json(const User& user) {
  Json json = Json::object();
  put_required(json, "uid", user.uid);
  put_required(json, "gid", user.gid);
  put(json, "umask", user.umask);
  put(json, "additionalGids", user.additional_gids);
  return json;
}

Json capabilities_json(const Capabilities& sets) {
  Json json = Json::object();
  put(json, "bounding", sets.bounding);
  put(json, "effective", sets.effective);
  put(json, "inheritable", sets.inheritable);
  put(json, "permitted", sets.permitted);
  put(json, "ambient", sets.ambient);
  return json;
}

Json rlimit_json(const Rlimit& limit) {
  Json json = Json::object();
  json.set("type", Json{limit.type});
  put_required(json, "soft", limit.soft);
  put_required(json, "hard", limit.hard);
  return json;
}

Json scheduler_json(const Scheduler& scheduler) {
  Json json = Json::object();
  json.set("policy", Json{scheduler.policy});
  put(json, "nice", scheduler.nice);
  put(json, "priority", scheduler.priority);
  put(json, "flags", scheduler.flags);
  put(json, "runtime", scheduler.runtime);
  put(json, "deadline", scheduler.deadline);
  put(json, "period", scheduler.period);
  return json;
}

Json io_priority_json(const IoPriority& priority) {
  Json json = Json::object();
  json.set("class", Json{priority.io_class});
  put_required(json, "priority", priority.priority);
  return json;
}

Json affinity_json(const ExecCpuAffinity& affinity) {
  Json json = Json::object();
  put(json, "initial", affinity.initial);
  put(json, "final", affinity.final);
  return json;
}

}  // namespace

Json process_json(const Process& process) {
  Json json = Json::object();
  put(json, "terminal", process.terminal);
  put_object(json, "consoleSize", process.console_size, console_size_json);
  json.set("user", user_json(process.user));
  put(json, "args", process.args);
  put(json, "env", process.env);
  json.set("cwd", Json{process.cwd});
  put_object(json, "capabilities", process.capabilities, capabilities_json);
  put_list(json, "rlimits", process.rlimits, rlimit_json);
  put(json, "noNewPrivileges", process.no_new_privileges);
  put(json, "apparmorProfile", process.apparmor_profile);
  put(json, "oomScoreAdj", process.oom_score_adj);
  put_object(json, "scheduler", process.scheduler, scheduler_json);
  put(json, "selinuxLabel", process.selinux_label);
  put_object(json, "ioPriority", process.io_priority, io_priority_json);
  put_object(json, "execCPUAffinity", process.exec_cpu_affinity, affinity_json);
  return json;
}

}  // namespace husk::oci
