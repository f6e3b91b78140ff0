// What the kernel demands of a seccomp filter. Source: man 2 seccomp; the kernel's seccomp_check_filter() and
// bpf_check_classic().
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <string>
#include <vector>

#include "base/format.h"
#include "seccomp/verdict.h"

namespace husk::test {

using Program = std::vector<sock_filter>;

// What SECCOMP_SET_MODE_FILTER would refuse in `program`; "" when nothing.
inline std::string flaw_in(const Program& program) {
  if (program.empty() || program.size() > BPF_MAXINSNS) return format_text("{} instructions", program.size());
  for (std::size_t at = 0; at < program.size(); ++at) {
    const auto& op = program[at];
    const auto behind = program.size() - at - 1;  // instructions that follow
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (op.k % 4 != 0 || op.k >= sizeof(seccomp_data)) return format_text("{}: loads from {}", at, op.k);
        break;
      case BPF_JMP | BPF_JA:
        if (op.k >= behind) return format_text("{}: jumps behind the end", at);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_K:
        if (op.jt >= behind || op.jf >= behind) return format_text("{}: branches behind the end", at);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
      case BPF_RET | BPF_K: break;
      default: return format_text("{}: unknown instruction {:#x}", at, op.code);
    }
  }
  return program.back().code == (BPF_RET | BPF_K) ? "" : "does not end in a return";
}

using runtime::run_filter;

}  // namespace husk::test
