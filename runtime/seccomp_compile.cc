#include "seccomp_compile.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

struct Named {
  std::string_view name;
  std::uint32_t value;
};

constexpr std::array kActions{Named{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
                              Named{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
                              Named{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
                              Named{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
                              Named{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
                              Named{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
                              Named{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
                              Named{"SCMP_ACT_LOG", SCMP_ACT_LOG}};
constexpr std::array kOperators{Named{"SCMP_CMP_NE", SCMP_CMP_NE}, Named{"SCMP_CMP_LT", SCMP_CMP_LT},
                                Named{"SCMP_CMP_LE", SCMP_CMP_LE}, Named{"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                Named{"SCMP_CMP_GE", SCMP_CMP_GE}, Named{"SCMP_CMP_GT", SCMP_CMP_GT},
                                Named{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
constexpr std::array kArchitectures{
    Named{"SCMP_ARCH_X86", SCMP_ARCH_X86},           Named{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    Named{"SCMP_ARCH_X32", SCMP_ARCH_X32},           Named{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    Named{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},   Named{"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    Named{"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},     Named{"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    Named{"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},     Named{"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    Named{"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32}, Named{"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    Named{"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},       Named{"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    Named{"SCMP_ARCH_S390", SCMP_ARCH_S390},         Named{"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    Named{"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},     Named{"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    Named{"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64}};
// TSYNC is a no-op here: the process that loads the filter has one thread.
constexpr std::array kFlags{Named{"SECCOMP_FILTER_FLAG_TSYNC", 0},
                            Named{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
                            Named{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW}};

template <class Table>
std::optional<std::uint32_t> value_in(const Table& table, std::string_view name) {
  for (const auto& row : table)
    if (row.name == name) return row.value;
  return std::nullopt;
}

template <class Table>
std::vector<std::string> names_in(const Table& table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return names;
}

Error bad(std::string_view where, std::string what) {
  return Error{Kind::invalid, format_text("\"/linux/seccomp{}\": {}", where, what)};
}

// libseccomp answers -errno.
Error library_error(std::string_view call, int result) {
  return Error{Kind::internal, std::string{call}, -result};
}

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

Result<std::uint32_t> action_of(const std::string& name, std::optional<std::uint32_t> errno_ret,
                                const std::string& where) {
  if (name == "SCMP_ACT_NOTIFY")
    return Error{Kind::unsupported, format_text("\"/linux/seccomp{}\": SCMP_ACT_NOTIFY is not supported yet", where)}.hint(
        "use SCMP_ACT_ERRNO for these calls");
  const auto value = value_in(kActions, name);
  if (!value.has_value()) return bad(where, format_text("unknown action {}", quote(name)));
  const bool takes_errno = name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE";
  if (!takes_errno) {
    if (errno_ret.has_value()) return bad(where, format_text("errnoRet goes with ERRNO and TRACE only, not {}", name));
    return *value;
  }
  const auto number = errno_ret.value_or(EPERM);
  if (number > 0xffffU) return bad(where, format_text("errnoRet {} is larger than 65535", number));
  return *value | number;
}

Result<std::vector<scmp_arg_cmp>> conditions_of(const oci::SeccompRule& rule, const std::string& where) {
  std::vector<scmp_arg_cmp> conditions;
  for (const auto& arg : rule.args) {
    const auto op = value_in(kOperators, arg.op);
    if (!op.has_value()) return bad(where + "/args", format_text("unknown operator {}", quote(arg.op)));
    if (arg.index > 5) return bad(where + "/args", format_text("index {} is larger than 5", arg.index));
    conditions.push_back({.arg = arg.index,
                          .op = static_cast<scmp_compare>(*op),
                          .datum_a = arg.value,
                          .datum_b = arg.value_two});
  }
  return conditions;
}

bool has_repeated_index(const std::vector<scmp_arg_cmp>& conditions) {
  std::array<int, 6> seen{};
  for (const auto& condition : conditions)
    if (++seen.at(condition.arg) > 1) return true;
  return false;
}

Status add_rule(const Context& context, const oci::SeccompRule& rule, std::uint32_t default_action,
                const std::string& where) {
  const auto action = TRY(action_of(rule.action, rule.errno_ret, where));
  if (action == default_action) return ok();  // libseccomp refuses a rule that changes nothing
  const auto conditions = TRY(conditions_of(rule, where));
  for (const auto& name : rule.names) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // a profile may name calls of other machines and of later kernels
    int result = 0;
    if (has_repeated_index(conditions)) {
      // libseccomp takes one comparison for each argument in a rule; several mean "any of them".
      for (const auto& condition : conditions)
        if (result == 0) result = ::seccomp_rule_add_array(context.get(), action, number, 1, &condition);
    } else {
      result = ::seccomp_rule_add_array(context.get(), action, number, static_cast<unsigned>(conditions.size()),
                                        conditions.data());
    }
    if (result < 0) return library_error(format_text("seccomp_rule_add({})", quote(name)), result).during("\"/linux/seccomp" + where + "\"");
  }
  return ok();
}

Result<std::vector<std::uint32_t>> add_architectures(const Context& context, const oci::Seccomp& profile) {
  std::vector<std::uint32_t> tokens{::seccomp_arch_native()};
  for (const auto& name : profile.architectures) {
    if (name == "SCMP_ARCH_NATIVE") continue;
    const auto token = value_in(kArchitectures, name);
    if (!token.has_value()) return bad("/architectures", format_text("unknown architecture {}", quote(name)));
    const int result = ::seccomp_arch_add(context.get(), *token);
    if (result < 0 && result != -EEXIST) return library_error(format_text("seccomp_arch_add({})", name), result);
    if (result == 0) tokens.push_back(*token);
  }
  return tokens;
}

Result<std::vector<sock_filter>> export_program(const Context& context) {
  const auto file = TRY(sys::memfd_create("seccomp", MFD_CLOEXEC));
  const int result = ::seccomp_export_bpf(context.get(), file.get());
  if (result < 0) return library_error("seccomp_export_bpf()", result);
  TRY(sys::lseek(file.get(), 0, SEEK_SET));
  const auto bytes = TRY(read_all(file.get()));
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
  return program;
}

constexpr std::uint32_t kX32Bit = 0x40000000;

sock_filter statement(unsigned code, std::uint32_t value) {
  return {.code = static_cast<std::uint16_t>(code), .jt = 0, .jf = 0, .k = value};
}
sock_filter jump(unsigned code, std::uint32_t value, std::uint8_t if_true, std::uint8_t if_false) {
  return {.code = static_cast<std::uint16_t>(code), .jt = if_true, .jf = if_false, .k = value};
}

// Calls that are newer than every call of the profile answer ENOSYS, so that programs fall back
// (clone3 → clone) instead of failing with EPERM. Source: moby 42681; runc does the same.
std::vector<sock_filter> newer_calls_prologue(const oci::Seccomp& profile, const std::vector<std::uint32_t>& tokens) {
  std::vector<sock_filter> program;
  for (const auto token : tokens) {
    if (token == SCMP_ARCH_X32) continue;  // shares the token of x86_64; its bit is skipped below
    int newest = -1;
    for (const auto& rule : profile.syscalls)
      for (const auto& name : rule.names)
        newest = std::max(newest, ::seccomp_syscall_resolve_name_arch(token, name.c_str()));
    if (newest < 0) continue;
    program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    program.push_back(jump(BPF_JMP | BPF_JEQ | BPF_K, token, 0, 4));
    program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    program.push_back(jump(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0));
    program.push_back(jump(BPF_JMP | BPF_JGT | BPF_K, static_cast<std::uint32_t>(newest), 0, 1));
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  }
  return program;
}

Result<unsigned> flags_of(const oci::Seccomp& profile) {
  unsigned flags = 0;
  for (const auto& name : profile.flags) {
    if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") continue;  // only says how a listener waits
    const auto value = value_in(kFlags, name);
    if (!value.has_value()) return bad("/flags", format_text("unknown flag {}", quote(name)));
    flags |= *value;
  }
  return flags;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile) {
  if (!profile.listener_path.empty() || !profile.listener_metadata.empty())
    return Error{Kind::unsupported, "\"/linux/seccomp/listenerPath\": seccomp listeners are not supported yet"}.hint(
        "remove listenerPath and listenerMetadata");
  const auto default_action = TRY(action_of(profile.default_action, profile.default_errno_ret, "/defaultAction"));
  const Context context{::seccomp_init(default_action)};
  if (context == nullptr) return Error{Kind::internal, "seccomp_init()"};
  // Without this, libseccomp sets no_new_privs itself when a program loads the filter through it.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  const auto tokens = TRY(add_architectures(context, profile));
  for (std::size_t i = 0; i < profile.syscalls.size(); ++i)
    TRY(add_rule(context, profile.syscalls[i], default_action, format_text("/syscalls/{}", i)));
  SeccompFilter filter;
  filter.flags = TRY(flags_of(profile));
  auto main_part = TRY(export_program(context));
  if (default_action == SCMP_ACT_ERRNO(EPERM)) filter.program = newer_calls_prologue(profile, tokens);
  filter.program.insert(filter.program.end(), main_part.begin(), main_part.end());
  if (filter.program.size() > BPF_MAXINSNS)
    return bad("", format_text("the compiled filter has {} instructions; the kernel takes {}", filter.program.size(), BPF_MAXINSNS));
  return filter;
}

std::string seccomp_library() {
  const auto* version = ::seccomp_version();
  return format_text("{}.{}.{} {:#x}", version->major, version->minor, version->micro, ::seccomp_arch_native());
}

SeccompSupport seccomp_support() {
  SeccompSupport support{.actions = names_in(kActions), .architectures = names_in(kArchitectures), .flags = names_in(kFlags), .library_version = ""};
  const auto* version = ::seccomp_version();
  support.library_version = format_text("{}.{}.{}", version->major, version->minor, version->micro);
  return support;
}

}  // namespace husk::runtime
