#include "base/sys_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/sys_check.h"

namespace husk::sys {

Result<int> load_filter(const void* program, unsigned flags) {
  const auto result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
  if (failed(result)) return call_error([&] { return format_text("seccomp(filter, {:#x})", flags); });
  return static_cast<int>(result);
}

bool has_seccomp_action(std::uint32_t action) { return !failed(::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action)); }

// The kernel looks at the flags before the program, which is missing here.
bool has_seccomp_flags(unsigned flags) {
  return failed(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr)) && errno == EFAULT;
}

Result<void*> map_memory(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return call_error([&] { return format_text("mmap({} bytes)", bytes); });
  return memory;
}

Result<UniqueFd> watch_faults(void* memory, std::size_t bytes) {
  // poll() answers POLLERR without O_NONBLOCK. Source: userfaultfd_poll() in fs/userfaultfd.c.
  auto fd = TRY(fd_of(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), [] { return std::string{"userfaultfd()"}; }));
  uffdio_api api{};
  api.api = UFFD_API;
  TRY(ioctl(fd.get(), UFFDIO_API, &api, "UFFDIO_API"));
  uffdio_register range{};
  range.range = {.start = reinterpret_cast<std::uintptr_t>(memory), .len = bytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  TRY(ioctl(fd.get(), UFFDIO_REGISTER, &range, "UFFDIO_REGISTER"));
  return fd;
}

Result<std::uintptr_t> read_fault(int fd) {
  uffd_msg message{};
  const auto got = retry_eintr([&] { return ::read(fd, &message, sizeof message); });
  if (failed(got)) return call_error([&] { return format_text("read({}, page fault)", fd_text(fd)); });
  if (got != sizeof message || message.event != UFFD_EVENT_PAGEFAULT) return Error{Kind::internal, "userfaultfd: not a page fault"};
  return static_cast<std::uintptr_t>(message.arg.pagefault.address);
}

Status fill_page(int fd, std::uintptr_t address, char first_byte) {
  const auto size = page_size();
  std::string page(2 * size, '\0');  // one of the two aligned pages in it
  auto* const source = page.data() + (size - reinterpret_cast<std::uintptr_t>(page.data()) % size) % size;
  *source = first_byte;
  uffdio_copy copy{};
  copy.dst = address - address % size;
  copy.src = reinterpret_cast<std::uintptr_t>(source);
  copy.len = size;
  TRY(ioctl(fd, UFFDIO_COPY, &copy, "UFFDIO_COPY"));
  return ok();
}

std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

Result<UniqueFd> pidfd_getfd(int pidfd, int number) {
  return fd_of(::syscall(SYS_pidfd_getfd, pidfd, number, 0), [&] { return format_text("pidfd_getfd({})", number); });
}

}  // namespace husk::sys
