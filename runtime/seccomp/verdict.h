// What a filter says to a system call, worked out as the kernel does it. Pure. Source: man 2 seccomp.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>

namespace husk::runtime {

struct Verdict {
  std::uint32_t action = SECCOMP_RET_ALLOW;  // with its data
  int steps = 0;
};
// `program`: of the instructions that emit.cc writes.
Verdict run_filter(std::span<const sock_filter> program, const seccomp_data& data);

}  // namespace husk::runtime
