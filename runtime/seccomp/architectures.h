// The architectures a profile may name, and what a filter must know of each. The order is that of the numbers in
// calls.h. Source: runtime-spec config-linux.md#configLinuxSeccomp; linux/audit.h; libseccomp's arch-*.c.
#pragma once

#include <linux/audit.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace husk::runtime {

struct Architecture {
  std::string_view name;
  std::uint32_t token;            // seccomp_data.arch
  bool wide = true;               // arguments are compared with 64 bits; else the lower 32 alone
  bool multiplexed = false;       // socketcall and ipc carry what other machines have as calls of their own
  std::uint32_t first_call = 0;   // where its numbers begin
};

inline constexpr std::uint32_t kX32Bit = 0x40000000;  // linux/unistd.h, __X32_SYSCALL_BIT

inline constexpr std::array kArchitectures{
    Architecture{"SCMP_ARCH_X86", AUDIT_ARCH_I386, false, true},
    Architecture{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64},
    Architecture{"SCMP_ARCH_X32", AUDIT_ARCH_X86_64, false, false, kX32Bit},
    Architecture{"SCMP_ARCH_ARM", AUDIT_ARCH_ARM, false},
    Architecture{"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64},
    Architecture{"SCMP_ARCH_MIPS", AUDIT_ARCH_MIPS, false, true, 4000},
    Architecture{"SCMP_ARCH_MIPS64", AUDIT_ARCH_MIPS64, true, false, 5000},
    Architecture{"SCMP_ARCH_MIPS64N32", AUDIT_ARCH_MIPS64N32, false, false, 6000},
    Architecture{"SCMP_ARCH_MIPSEL", AUDIT_ARCH_MIPSEL, false, true, 4000},
    Architecture{"SCMP_ARCH_MIPSEL64", AUDIT_ARCH_MIPSEL64, true, false, 5000},
    Architecture{"SCMP_ARCH_MIPSEL64N32", AUDIT_ARCH_MIPSEL64N32, false, false, 6000},
    Architecture{"SCMP_ARCH_PPC", AUDIT_ARCH_PPC, false, true},
    Architecture{"SCMP_ARCH_PPC64", AUDIT_ARCH_PPC64, true, true},
    Architecture{"SCMP_ARCH_PPC64LE", AUDIT_ARCH_PPC64LE, true, true},
    Architecture{"SCMP_ARCH_S390", AUDIT_ARCH_S390, false, true},
    Architecture{"SCMP_ARCH_S390X", AUDIT_ARCH_S390X, true, true},
    Architecture{"SCMP_ARCH_PARISC", AUDIT_ARCH_PARISC, false},
    Architecture{"SCMP_ARCH_PARISC64", AUDIT_ARCH_PARISC64},
    Architecture{"SCMP_ARCH_RISCV64", AUDIT_ARCH_RISCV64}};

constexpr bool is_x32(const Architecture& architecture) { return architecture.first_call == kX32Bit; }
constexpr bool is_little_endian(const Architecture& architecture) { return (architecture.token & __AUDIT_ARCH_LE) != 0; }

}  // namespace husk::runtime
