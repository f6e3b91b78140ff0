// Private to oci-spec: the rules that need values or several fields, one function an object. Each gets
// the JSON pointer of what it checks.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "base/format.h"
#include "base/result.h"
#include "base/text.h"
#include "oci-spec/names.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

// Device numbers have 12 and 20 bits. Source: MINORBITS in the kernel's kdev_t.h.
inline constexpr std::int64_t kMaxMajor = (1 << 12) - 1;
inline constexpr std::int64_t kMaxMinor = (1 << 20) - 1;

// `"/linux/devices/3": what`
inline Error rule_error(std::string_view pointer, std::string_view what) {
  return Error{Kind::invalid, format_text("\"{}\": {}", pointer.empty() ? "/" : pointer, what)};
}

inline std::string at(std::string_view pointer, std::string_view name) { return format_text("{}/{}", pointer, name); }
template <std::integral I>
std::string at(std::string_view pointer, std::string_view name, I index) {
  return format_text("{}/{}/{}", pointer, name, index);
}

// A word of one of the tables in names.h.
template <std::size_t N>
Status check_word(std::string_view pointer, std::string_view word, const std::array<std::string_view, N>& words) {
  if (is_one_of(word, words)) return ok();
  std::string known;
  for (const auto item : words) known += (known.empty() ? "" : ", ") + std::string{item};
  return rule_error(pointer, format_text("{} is none of {}", quote(word), known));
}

template <std::size_t N>
Status check_words(std::string_view pointer, std::string_view name, const std::vector<std::string>& given,
                   const std::array<std::string_view, N>& words) {
  for (std::size_t i = 0; i < given.size(); ++i) TRY(check_word(at(pointer, name, i), given[i], words));
  return ok();
}

// "0-3,7"; "" is fine. Source: config-linux.md#configLinuxCPU
Status check_cpu_list(std::string_view pointer, std::string_view text);
Status check_absolute(std::string_view pointer, std::string_view path);
Status check_one_line(std::string_view pointer, std::string_view text);
// Sizes not zero, no id twice on either side, no wrap at 2^32. Source: man 7 user_namespaces.
Status check_id_mappings(std::string_view pointer, const std::vector<IdMapping>& mappings);

Status validate_seccomp(const Seccomp& seccomp, std::string_view pointer);  // validate_seccomp.cc
Status validate_linux(const Spec& spec);                                    // validate_linux.cc
Status validate_namespaces(const Spec& spec);                               // validate_namespaces.cc
Status validate_sysctls(const Spec& spec);                                  // sysctl.cc

}  // namespace husk::oci
