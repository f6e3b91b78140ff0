// Seccomp profile → BPF program, before the clone. Source: runtime-spec config-linux.md#seccomp; man 2 seccomp.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

struct SeccompFilter {
  std::vector<sock_filter> program;
  unsigned flags = 0;  // SECCOMP_FILTER_FLAG_*
  bool has_listener() const { return (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0; }
};
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile);
// Names that no architecture has are passed over, as other runtimes do. Errors: invalid, with the first of them.
Status check_call_names(const oci::Seccomp& profile);

struct SeccompSupport {  // for `husk features`: what this kernel has too
  std::vector<std::string> actions;
  std::vector<std::string> architectures;
  std::vector<std::string> flags;
  std::string library_version;
};
SeccompSupport seccomp_support();
std::uint32_t native_token();  // seccomp_data.arch of our own calls
std::string seccomp_library();  // version and machine: what else decides a filter

}  // namespace husk::runtime
