// System calls behind a seccomp listener. Source: man 2 seccomp, man 2 userfaultfd, man 2 pidfd_getfd.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::sys {

// seccomp(SECCOMP_SET_MODE_FILTER): `program` is a sock_fprog. The listener, a plain number for the last stretch
// before an exec; 0 when the flags ask for none.
Result<int> load_filter(const void* program, unsigned flags);
bool has_seccomp_action(std::uint32_t action);  // of this kernel
bool has_seccomp_flags(unsigned flags);

// Memory that stops who touches it.
Result<void*> map_memory(std::size_t bytes);
Result<UniqueFd> watch_faults(void* memory, std::size_t bytes);     // until the fd and its copies are closed
Result<std::uintptr_t> read_fault(int fd);                          // behind a poll(); the address that was touched
Status fill_page(int fd, std::uintptr_t address, char first_byte);  // lets the toucher go on
std::size_t page_size();

Result<UniqueFd> pidfd_getfd(int pidfd, int number);

}  // namespace husk::sys
