// Two bugs on purpose, behind what init of a container goes through: whether their reports reach the suite.
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  (void)::chroot("/proc/self/fdinfo");
  (void)::chdir("/");
  (void)::syscall(SYS_close_range, 0U, UINT_MAX, 0U);
  (void)::syscall(SYS_setresuid, 65534, 65534, 65534);
  if (std::strcmp(argv[1], "undefined") == 0) {
    volatile int number = INT_MAX;
    number = number + 1;
    return number < 0 ? 0 : 1;
  }
  std::vector<int> numbers(static_cast<std::size_t>(argc));
  return *(numbers.data() + argc);  // one behind the end
}
