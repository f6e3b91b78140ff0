#include "oci-spec/fields.h"
#include "oci-spec/parse_parts.h"

namespace husk::oci {
namespace {

Result<SeccompArg> read_argument(const JsonReader& json) {
  SeccompArg argument;
  TRY(read_required(json, "index", argument.index));
  TRY(read_required(json, "value", argument.value));
  TRY(read(json, "valueTwo", argument.value_two));
  TRY(read_required(json, "op", argument.op));
  return argument;
}

Result<SeccompRule> read_rule(const JsonReader& json) {
  SeccompRule rule;
  TRY(json.require("names"));
  TRY(read(json, "names", rule.names, kMaxRules));
  TRY(read_required(json, "action", rule.action));
  TRY(read(json, "errnoRet", rule.errno_ret));
  TRY(read_list(json, "args", rule.args, kMaxRules, read_argument));
  return rule;
}

}  // namespace

// config-linux.md#configLinuxSeccomp
Result<Seccomp> read_seccomp(const JsonReader& json) {
  Seccomp seccomp;
  TRY(read_required(json, "defaultAction", seccomp.default_action));
  TRY(read(json, "defaultErrnoRet", seccomp.default_errno_ret));
  TRY(read(json, "architectures", seccomp.architectures));
  TRY(read(json, "flags", seccomp.flags));
  TRY(read(json, "listenerPath", seccomp.listener_path));
  TRY(read(json, "listenerMetadata", seccomp.listener_metadata));
  TRY(read_list(json, "syscalls", seccomp.syscalls, kMaxRules, read_rule));
  return seccomp;
}

}  // namespace husk::oci
