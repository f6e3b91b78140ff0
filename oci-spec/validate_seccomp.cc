#include <algorithm>

#include "oci-spec/rules.h"

namespace husk::oci {
namespace {

constexpr std::uint32_t kMaxErrno = 0xffff;       // SECCOMP_RET_DATA; man 2 seccomp
constexpr std::uint32_t kSyscallArguments = 6;
constexpr std::string_view kNotify = "SCMP_ACT_NOTIFY";

Status check_errno(const std::string& pointer, std::string_view action, const std::optional<std::uint32_t>& value) {
  if (!value.has_value()) return ok();
  if (action != "SCMP_ACT_ERRNO" && action != "SCMP_ACT_TRACE")
    return rule_error(pointer, format_text("action {} has no error number", action));
  if (*value > kMaxErrno) return rule_error(pointer, format_text("{} is not from 0 to {}", *value, kMaxErrno));
  return ok();
}

Status check_rule(const SeccompRule& rule, const std::string& pointer) {
  if (rule.names.empty()) return rule_error(at(pointer, "names"), "at least one entry is required");
  if (std::ranges::find(rule.names, "") != rule.names.end())
    return rule_error(at(pointer, "names"), "the name of a system call must not be empty");
  TRY(check_word(at(pointer, "action"), rule.action, kSeccompActions));
  TRY(check_errno(at(pointer, "errnoRet"), rule.action, rule.errno_ret));
  for (std::size_t i = 0; i < rule.args.size(); ++i) {
    const auto place = at(pointer, "args", i);
    if (rule.args[i].index >= kSyscallArguments)
      return rule_error(at(place, "index"), format_text("{} is not from 0 to 5", rule.args[i].index));
    TRY(check_word(at(place, "op"), rule.args[i].op, kSeccompOperators));
  }
  return ok();
}

bool uses_notify(const Seccomp& seccomp) {
  return seccomp.default_action == kNotify ||
         std::ranges::any_of(seccomp.syscalls, [](const SeccompRule& rule) { return rule.action == kNotify; });
}

// The socket must be there when it is used; what must not be set without it is a rule of its own.
Status check_listener(const Seccomp& seccomp, std::string_view pointer) {
  if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty())
    return rule_error(at(pointer, "listenerMetadata"), "must not be set without \"listenerPath\"");
  if (uses_notify(seccomp) && seccomp.listener_path.empty())
    return rule_error(at(pointer, "listenerPath"), "is required when SCMP_ACT_NOTIFY is used");
  return ok();
}

}  // namespace

Status validate_seccomp(const Seccomp& seccomp, std::string_view pointer) {
  TRY(check_word(at(pointer, "defaultAction"), seccomp.default_action, kSeccompActions));
  TRY(check_errno(at(pointer, "defaultErrnoRet"), seccomp.default_action, seccomp.default_errno_ret));
  TRY(check_words(pointer, "architectures", seccomp.architectures, kSeccompArchs));
  TRY(check_words(pointer, "flags", seccomp.flags, kSeccompFlags));
  TRY(check_listener(seccomp, pointer));
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i)
    TRY(check_rule(seccomp.syscalls[i], at(pointer, "syscalls", i)));
  return ok();
}

}  // namespace husk::oci
