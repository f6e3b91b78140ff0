// Processes that run into limits, and a block device to run into one with.
#pragma once

#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "kernel/cgroups/scene.h"

#define NEEDS_CONTROLLER(name)                                    \
  do {                                                            \
    const auto reason = ::husk::test::without_controller(name);   \
    if (!reason.empty()) HUSK_SKIP(reason);                       \
  } while (false)

namespace husk::test {

inline constexpr std::int64_t kMegabyte = 1 << 20;

// Memory that is really there: every page is written.
inline int touch_memory(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  auto* memory = static_cast<char*>(
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return 1;
  for (std::size_t at = 0; at < size; at += 4096) memory[at] = 1;
  return 0;
}

// Sets at least `count` huge pages of 2 MB aside until the end of the scope.
class HugePages {
 public:
  explicit HugePages(std::uint64_t count) {
    const auto text = read_file(kPool);
    if (!text.has_value()) return;
    before_ = std::string{trim(text.value())};
    const auto there = parse_uint64(before_);
    if (there.has_value() && there.value() < count) (void)write_existing(AT_FDCWD, kPool, std::to_string(count));
    const auto now = parse_uint64(text_of(kPool));
    is_there_ = now.has_value() && now.value() >= count;
  }
  HugePages(const HugePages&) = delete;
  HugePages& operator=(const HugePages&) = delete;
  ~HugePages() {
    if (!before_.empty()) (void)write_existing(AT_FDCWD, kPool, before_);
  }
  std::string reason() const { return is_there_ ? "" : "huge pages of 2 MB cannot be set aside here (vm.nr_hugepages)"; }

 private:
  static constexpr const char* kPool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
  std::string before_;
  bool is_there_ = false;
};

// 0, or the errno of mmap.
inline int map_huge_pages(std::size_t pages) {
  void* memory = ::mmap(nullptr, pages * 2 * kMegabyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (memory == MAP_FAILED) return errno;
  static_cast<volatile char*>(memory)[0] = 1;
  return 0;
}

// Forks until it is refused; how many came to be, or 100 and more for another error than EAGAIN.
inline int count_forks() {
  for (int forks = 0; forks < 50; ++forks) {
    const pid_t pid = ::fork();
    if (pid == 0) sleep_for_ever();
    if (pid < 0) return errno == EAGAIN ? forks : 100;
  }
  return 101;
}

inline int burn_cpu(std::int64_t milliseconds) {
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < milliseconds);
  return 0;
}

// A block device over a file of its own.
class LoopDevice {
 public:
  LoopDevice() {
    auto control = sys::openat(AT_FDCWD, "/dev/loop-control", O_RDWR);
    if (!control.has_value()) return;
    const int number = ::ioctl(control.value().get(), LOOP_CTL_GET_FREE);
    auto file = sys::openat(AT_FDCWD, directory_ / "disk", O_RDWR | O_CREAT, 0600);
    REQUIRE_OK(file);
    REQUIRE(::ftruncate(file.value().get(), 8 * kMegabyte) == 0);
    path_ = format_text("/dev/loop{}", number);
    auto opened = sys::openat(AT_FDCWD, path_, O_RDWR);
    if (!opened.has_value()) return;
    device_ = std::move(opened).value();
    loop_config config{};
    config.fd = static_cast<unsigned>(file.value().get());
    attached_ = ::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0;
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() {
    if (attached_) CHECK(::ioctl(device_.get(), LOOP_CLR_FD) == 0);
  }
  bool works() const { return attached_; }
  const std::string& path() const { return path_; }
  oci::ThrottleDevice limit(std::uint64_t rate) const {
    struct stat status{};
    REQUIRE(::fstat(device_.get(), &status) == 0);
    return {.major = major(status.st_rdev), .minor = minor(status.st_rdev), .rate = rate};
  }

 private:
  TempDir directory_;
  std::string path_;
  UniqueFd device_;
  bool attached_ = false;
};

inline int write_direct(const std::string& path, std::int64_t bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_DIRECT);
  void* block = nullptr;
  if (fd < 0 || ::posix_memalign(&block, 4096, 256 * 1024) != 0) return 1;
  for (std::int64_t at = 0; at < bytes; at += 256 * 1024)
    if (::pwrite(fd, block, 256 * 1024, at) != 256 * 1024) return 2;
  return 0;
}

// The processors that the kernel lets it run on.
inline std::vector<int> cpus_of(pid_t pid) {
  cpu_set_t set;
  REQUIRE(::sched_getaffinity(pid, sizeof set, &set) == 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

// Four chains in which each process forks its successor and ends at once: a list of them is old when it is read.
inline int fork_storm() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGCHLD, SIG_IGN);  // nobody stays a zombie
  for (int chain = 0; chain < 4; ++chain)
    if (::fork() == 0)
      for (;;)
        if (::fork() > 0) ::_exit(0);
  return sleep_for_ever();
}

}  // namespace husk::test
