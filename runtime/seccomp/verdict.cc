#include "seccomp/verdict.h"

#include <cstring>

namespace husk::runtime {

Verdict run_filter(std::span<const sock_filter> program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  Verdict verdict;
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const auto& op = program[pc];
    ++verdict.steps;
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (op.k <= sizeof data - sizeof accumulator)
          std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + op.k, sizeof accumulator);
        break;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= op.k; break;
      case BPF_JMP | BPF_JA: pc += op.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: pc += accumulator == op.k ? op.jt : op.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: pc += accumulator > op.k ? op.jt : op.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: pc += accumulator >= op.k ? op.jt : op.jf; break;
      case BPF_RET | BPF_K: verdict.action = op.k; return verdict;
      default: break;  // the kernel refuses it
    }
  }
  return verdict;
}

}  // namespace husk::runtime
