// The same profile through libseccomp, as runc gives it: what our own filters are compared with.
#pragma once

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/sys.h"
#include "oci-spec/runtime_spec.h"
#include "unit/runtime/seccomp_machine.h"

namespace husk::test {

inline std::uint32_t reference_action(const std::string& name, std::optional<std::uint32_t> errno_ret) {
  static const std::map<std::string, std::uint32_t> kActions{
      {"SCMP_ACT_KILL", SCMP_ACT_KILL}, {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS}, {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP}, {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW}, {"SCMP_ACT_LOG", SCMP_ACT_LOG}, {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY}};
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(errno_ret.value_or(EPERM));
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(errno_ret.value_or(EPERM));
  return kActions.at(name);
}

inline scmp_arg_cmp reference_condition(const oci::SeccompArg& arg) {
  static const std::map<std::string, scmp_compare> kOperators{
      {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  return {.arg = arg.index, .op = kOperators.at(arg.op), .datum_a = arg.value, .datum_b = arg.value_two};
}

inline bool repeats_index(const oci::SeccompRule& rule) {
  for (std::size_t i = 0; i < rule.args.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (rule.args[i].index == rule.args[j].index) return true;
  return false;
}

inline int add_reference_rule(scmp_filter_ctx context, const oci::SeccompRule& rule, std::uint32_t default_action) {
  const auto action = reference_action(rule.action, rule.errno_ret);
  if (action == default_action) return 0;
  std::vector<scmp_arg_cmp> conditions;
  for (const auto& arg : rule.args) conditions.push_back(reference_condition(arg));
  const bool any_of = repeats_index(rule);
  int result = 0;
  for (const auto& name : rule.names) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    if (!any_of) result = std::min(result, ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(conditions.size()), conditions.data()));
    for (std::size_t i = 0; any_of && i < conditions.size(); ++i)
      result = std::min(result, ::seccomp_rule_add_array(context, action, number, 1, &conditions[i]));
  }
  return result;
}

// nullopt: libseccomp refuses the profile.
inline std::optional<Program> reference_program(const oci::Seccomp& profile) {
  const auto default_action = reference_action(profile.default_action, profile.default_errno_ret);
  const std::unique_ptr<void, void (*)(void*)> context{::seccomp_init(default_action), ::seccomp_release};
  for (const auto& name : profile.architectures) {
    auto word = name.substr(std::string_view{"SCMP_ARCH_"}.size());
    std::ranges::transform(word, word.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
    const int result = ::seccomp_arch_add(context.get(), ::seccomp_arch_resolve_name(word.c_str()));
    if (result < 0 && result != -EEXIST) return std::nullopt;
  }
  for (const auto& rule : profile.syscalls)
    if (add_reference_rule(context.get(), rule, default_action) < 0) return std::nullopt;
  const auto file = sys::memfd_create("seccomp", MFD_CLOEXEC);
  if (!file.has_value() || ::seccomp_export_bpf(context.get(), file.value().get()) < 0) return std::nullopt;
  if (!sys::lseek(file.value().get(), 0, SEEK_SET).has_value()) return std::nullopt;
  const auto bytes = read_all(file.value().get());
  if (!bytes.has_value()) return std::nullopt;
  Program program(bytes.value().size() / sizeof(sock_filter));
  std::memcpy(program.data(), bytes.value().data(), program.size() * sizeof(sock_filter));
  return program;
}

}  // namespace husk::test
