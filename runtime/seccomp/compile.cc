#include "seccomp/compile.h"

#include <errno.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/format.h"
#include "base/sys_listener.h"
#include "base/text.h"
#include "seccomp/calls.h"
#include "seccomp/emit.h"
#include "seccomp/plan.h"

namespace husk::runtime {
namespace {

template <class T>
struct Named {
  std::string_view name;
  T value;
};

constexpr std::array kActions{Named<std::uint32_t>{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
                              Named<std::uint32_t>{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
                              Named<std::uint32_t>{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
                              Named<std::uint32_t>{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
                              Named<std::uint32_t>{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
                              Named<std::uint32_t>{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
                              Named<std::uint32_t>{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
                              Named<std::uint32_t>{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
                              Named<std::uint32_t>{"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF}};
constexpr std::array kOperators{Named<Compare>{"SCMP_CMP_NE", Compare::ne}, Named<Compare>{"SCMP_CMP_LT", Compare::lt},
                                Named<Compare>{"SCMP_CMP_LE", Compare::le}, Named<Compare>{"SCMP_CMP_EQ", Compare::eq},
                                Named<Compare>{"SCMP_CMP_GE", Compare::ge}, Named<Compare>{"SCMP_CMP_GT", Compare::gt},
                                Named<Compare>{"SCMP_CMP_MASKED_EQ", Compare::masked_eq}};
// TSYNC is a no-op here: the process that loads the filter has one thread. WAIT_KILLABLE_RECV says how a listener
// waits, and is refused by the kernel without one.
constexpr std::array kFlags{Named<unsigned>{"SECCOMP_FILTER_FLAG_TSYNC", 0},
                            Named<unsigned>{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
                            Named<unsigned>{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
                            Named<unsigned>{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV}};

#if defined(__x86_64__)
constexpr std::string_view kNative = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
constexpr std::string_view kNative = "SCMP_ARCH_AARCH64";
#elif defined(__riscv)
constexpr std::string_view kNative = "SCMP_ARCH_RISCV64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
constexpr std::string_view kNative = "SCMP_ARCH_PPC64LE";
#elif defined(__s390x__)
constexpr std::string_view kNative = "SCMP_ARCH_S390X";
#else
#error "name this machine's architecture"
#endif

template <class Table>
auto find_in(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, [](const auto& row) { return row.name; });
  return found == table.end() ? nullptr : &*found;
}

Error bad(std::string_view where, std::string what) {
  return Error{Kind::invalid, format_text("\"/linux/seccomp{}\": {}", where, what)};
}

Result<std::uint32_t> action_of(const std::string& name, std::optional<std::uint32_t> errno_ret, std::string_view where) {
  const auto* action = find_in(kActions, name);
  if (action == nullptr) return bad(where, format_text("unknown action {}", quote(name)));
  const bool takes_errno = name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE";
  if (!takes_errno) {
    if (errno_ret.has_value()) return bad(where, format_text("errnoRet goes with ERRNO and TRACE only, not {}", name));
    return action->value;
  }
  const auto number = errno_ret.value_or(EPERM);
  if (number > SECCOMP_RET_DATA) return bad(where, format_text("errnoRet {} is larger than 65535", number));
  return action->value | number;
}

Result<Condition> condition_of(const oci::SeccompArg& arg, const std::string& where) {
  const auto* op = find_in(kOperators, arg.op);
  if (op == nullptr) return bad(where + "/args", format_text("unknown operator {}", quote(arg.op)));
  if (arg.index > 5) return bad(where + "/args", format_text("index {} is larger than 5", arg.index));
  if (op->value == Compare::masked_eq)
    return Condition{.index = arg.index, .op = op->value, .value = arg.value_two, .mask = arg.value};
  return Condition{.index = arg.index, .op = op->value, .value = arg.value};
}

// All conditions of a rule must hold; when one argument has several, any of them. Source: runc's matchCall.
Result<std::vector<Conditions>> alternatives_of(const oci::SeccompRule& rule, const std::string& where) {
  if (rule.args.empty()) return std::vector<Conditions>{};
  Conditions conditions;
  for (const auto& arg : rule.args) conditions.push_back(TRY(condition_of(arg, where)));
  std::vector<Conditions> alternatives;
  auto sorted = conditions;
  std::ranges::sort(sorted, {}, &Condition::index);
  if (std::ranges::adjacent_find(sorted, {}, &Condition::index) == sorted.end()) {
    alternatives.push_back(std::move(sorted));
  } else {
    for (const auto& condition : conditions) alternatives.push_back({condition});
  }
  return alternatives;
}

Result<FilterRule> rule_of(const oci::SeccompRule& rule, std::string where) {
  FilterRule result{.names = &rule.names, .action = TRY(action_of(rule.action, rule.errno_ret, where))};
  result.alternatives = TRY(alternatives_of(rule, where));
  result.place = std::move(where);
  return result;
}

Result<std::vector<const Architecture*>> architectures_of(const oci::Seccomp& profile) {
  const auto* native = find_in(kArchitectures, kNative);
  std::vector<const Architecture*> architectures{native};
  for (const auto& name : profile.architectures) {
    if (name == "SCMP_ARCH_NATIVE") continue;
    const auto* architecture = find_in(kArchitectures, name);
    if (architecture == nullptr) return bad("/architectures", format_text("unknown architecture {}", quote(name)));
    if (is_little_endian(*architecture) != is_little_endian(*native))
      return bad("/architectures", format_text("{} has another byte order than this machine", name));
    if (std::ranges::find(architectures, architecture) == architectures.end()) architectures.push_back(architecture);
  }
  const auto x32 = std::ranges::find_if(architectures, [](const auto* item) { return is_x32(*item); });
  if (x32 != architectures.end()) std::rotate(x32, x32 + 1, architectures.end());  // to the end
  return architectures;
}

Result<unsigned> flags_of(const oci::Seccomp& profile, bool notifies) {
  unsigned flags = notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  for (const auto& name : profile.flags) {
    const auto* flag = find_in(kFlags, name);
    if (flag == nullptr) return bad("/flags", format_text("unknown flag {}", quote(name)));
    flags |= flag->value;
  }
  if (!notifies) flags &= ~static_cast<unsigned>(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  return flags;
}

// The two that runc refuses, so that a profile means the same under each runtime.
Result<bool> check_notify(const oci::Seccomp& profile) {
  if (profile.default_action == "SCMP_ACT_NOTIFY") return bad("/defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action");
  bool notifies = false;
  for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
    const auto& rule = profile.syscalls[i];
    if (rule.action != "SCMP_ACT_NOTIFY") continue;
    notifies = true;
    if (std::ranges::find(rule.names, "write") != rule.names.end())
      return bad(format_text("/syscalls/{}", i), "SCMP_ACT_NOTIFY cannot be used for the write syscall");
  }
  if (notifies && profile.listener_path.empty()) return bad("/listenerPath", "is required when SCMP_ACT_NOTIFY is used");
  if (!profile.listener_metadata.empty() && profile.listener_path.empty())
    return bad("/listenerMetadata", "must not be set without \"listenerPath\"");
  return notifies;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile) {
  const auto notifies = TRY(check_notify(profile));
  FilterInput input;
  input.default_action = TRY(action_of(profile.default_action, profile.default_errno_ret, "/defaultAction"));
  // So that programs fall back (clone3 → clone) instead of failing with EPERM. Source: moby 42681; runc does the same.
  input.newer_are_unknown = input.default_action == (SECCOMP_RET_ERRNO | EPERM);
  input.architectures = TRY(architectures_of(profile));
  input.rules.reserve(profile.syscalls.size());
  for (std::size_t i = 0; i < profile.syscalls.size(); ++i)
    input.rules.push_back(TRY(rule_of(profile.syscalls[i], format_text("/syscalls/{}", i))));
  SeccompFilter filter;
  filter.flags = TRY(flags_of(profile, notifies));
  filter.program = emit_filter(TRY(plan_filter(input)));
  if (filter.program.size() > BPF_MAXINSNS)
    return bad("", format_text("the compiled filter has {} instructions; the kernel takes {}", filter.program.size(), BPF_MAXINSNS));
  return filter;
}

Status check_call_names(const oci::Seccomp& profile) {
  for (std::size_t i = 0; i < profile.syscalls.size(); ++i)
    for (const auto& name : profile.syscalls[i].names)
      if (find_call(name) == nullptr)
        return bad(format_text("/syscalls/{}/names", i), format_text("unknown system call {}", quote(name)));
  return ok();
}

std::uint32_t native_token() { return find_in(kArchitectures, kNative)->token; }

std::string seccomp_library() { return format_text("{} {}", call_table_version(), kNative); }

SeccompSupport seccomp_support() {
  const auto* native = find_in(kArchitectures, kNative);
  SeccompSupport support{.library_version = std::string{call_table_version()}};
  for (const auto& row : kActions)
    if (sys::has_seccomp_action(row.value)) support.actions.emplace_back(row.name);
  for (const auto& row : kArchitectures)
    if (is_little_endian(row) == is_little_endian(*native)) support.architectures.emplace_back(row.name);
  for (const auto& row : kFlags) {
    const unsigned beside = row.value == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
    if (sys::has_seccomp_flags(row.value | beside)) support.flags.emplace_back(row.name);
  }
  return support;
}

}  // namespace husk::runtime
