// Each limit of cgroup v2, proven by a process that runs into it. Needs controllers that hybrid hosts lend to v1:
// tests/vm has cpu, io, memory and pids, tests/vm --full the others too.
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "kernel/cgroups/scene.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

#define NEEDS_CONTROLLER(name)                                                        \
  do {                                                                                \
    const auto reason = without_controller(name);                                     \
    if (!reason.empty()) HUSK_SKIP(reason);                                           \
  } while (false)

namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";
constexpr std::int64_t kMegabyte = 1 << 20;

std::string value_of(const std::string& path, const std::string& name) { return text_of(kRoot + path + "/" + name); }

// Memory that is really there: every page is written.
int touch_memory(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  auto* memory = static_cast<char*>(
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return 1;
  for (std::size_t at = 0; at < size; at += 4096) memory[at] = 1;
  return 0;
}

// Forks until it is refused; how many came to be, or 100 and more for another error than EAGAIN.
int count_forks() {
  for (int forks = 0; forks < 50; ++forks) {
    const pid_t pid = ::fork();
    if (pid == 0) sleep_for_ever();
    if (pid < 0) return errno == EAGAIN ? forks : 100;
  }
  return 101;
}

int burn_cpu(std::int64_t milliseconds) {
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

int write_direct(const std::string& path, std::int64_t bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_DIRECT);
  void* block = nullptr;
  if (fd < 0 || ::posix_memalign(&block, 4096, 256 * 1024) != 0) return 1;
  for (std::int64_t at = 0; at < bytes; at += 256 * 1024)
    if (::pwrite(fd, block, 256 * 1024, at) != 256 * 1024) return 2;
  return 0;
}

}  // namespace

TEST_CASE("config-linux.md#memory: a process above its limit is killed, and the kill is counted as the reason") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("memory");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.memory = oci::MemoryLimits{.limit = 16 * kMegabyte, .swap = 16 * kMegabyte}}));
  CHECK(exit_code(start_child([] { return touch_memory(4 * kMegabyte); }, cgroup->clone_fd())) == 0);
  CHECK(read_oom_kills(path) == 0);
  CHECK(exit_code(start_child([] { return touch_memory(64 * kMegabyte); }, cgroup->clone_fd())) == 128 + SIGKILL);
  CHECK(read_oom_kills(path) == 1);
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  CHECK(stats.value().memory.oom_kills == 1);
  CHECK(stats.value().memory.limit_bytes == 16 * kMegabyte);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#memory: an update raises and lowers limit and swap, in whatever order the kernel takes") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("memory");
  const auto path = own_path();
  const auto limits = [&](std::int64_t limit) {
    return plan_of(Version::v2, path, {.memory = oci::MemoryLimits{.limit = limit, .swap = limit}});
  };
  auto cgroup = make(limits(32 * kMegabyte));
  for (const auto limit : {64 * kMegabyte, 16 * kMegabyte, std::int64_t{-1}, 8 * kMegabyte}) {
    CAPTURE(limit);
    CHECK_OK(cgroup->apply(limits(limit)));
    CHECK(value_of(path, "memory.max") == (limit < 0 ? "max" : std::to_string(limit)));
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#memory, checkBeforeUpdate: a limit below the usage is refused and nobody dies") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("memory");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  auto ready = sys::pipe2();
  REQUIRE_OK(ready);
  auto child = start_child(
      [&] {
        (void)touch_memory(32 * kMegabyte);
        return ::write(ready.value().write_end.get(), "x", 1) == 1 ? sleep_for_ever() : 1;
      },
      cgroup->clone_fd());
  std::array<char, 1> byte{};
  REQUIRE(sys::read_some(ready.value().read_end.get(), byte).value() == 1);
  const auto done = cgroup->apply(plan_of(
      Version::v2, path, {.memory = oci::MemoryLimits{.limit = 8 * kMegabyte, .check_before_update = true}}));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().kind() == Kind::busy);
  CHECK(value_of(path, "memory.max") == "max");
  CHECK(read_oom_kills(path) == 0);
  CHECK(cgroup->processes().value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}

TEST_CASE("config-linux.md#pids: a fork beyond the limit fails, one below it does not; 0 is a real limit") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("pids");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.pids_limit = 4}));
  CHECK(exit_code(start_child(count_forks, cgroup->clone_fd())) == 3);
  REQUIRE_OK(cgroup->kill_all(SIGKILL));
  CHECK(value_of(path, "pids.events").find("max 1") != std::string::npos);
  CHECK_OK(cgroup->apply(plan_of(Version::v2, path, {.pids_limit = 0})));
  const auto refused = sys::clone3({.cgroup_fd = cgroup->clone_fd()});
  if (refused.has_value() && refused.value().pid == 0) ::_exit(0);
  CHECK_FALSE(refused.has_value());
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#cpu: a process beyond its quota is throttled for the rest of the period") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("cpu");
  auto limited = make(plan_of(Version::v2, own_path(), {.cpu = oci::CpuLimits{.quota = 10000, .period = 100000}}));
  auto free = make(plan_of(Version::v2, own_path()));
  CHECK(exit_code(start_child([] { return burn_cpu(60); }, limited->clone_fd())) == 0);
  CHECK(exit_code(start_child([] { return burn_cpu(60); }, free->clone_fd())) == 0);
  // 60 ms at 10 ms a period are at least four full waits of 90 ms; ticks may give a period more than its share.
  CHECK(limited->stats().value().cpu_throttled_ns > 90000000);
  CHECK(free->stats().value().cpu_throttled_ns == 0);
  CHECK_OK(limited->remove());
  CHECK_OK(free->remove());
}

TEST_CASE("config-linux.md#block-io: writes to a loop device wait for the limit of bytes a second") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("io");
  const LoopDevice loop;
  if (!loop.works()) HUSK_SKIP("no loop device can be made here");
  const auto path = own_path();
  const oci::BlockIoLimits slow{.write_bps = {loop.limit(2 * kMegabyte)}};
  const oci::DeviceRule may_write{
      .allow = true, .type = 'b', .major = slow.write_bps[0].major, .minor = slow.write_bps[0].minor, .access = "rw"};
  auto cgroup = make(plan_of(Version::v2, path, {.devices = {may_write}, .block_io = slow}));
  const auto timed = [&] {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(exit_code(start_child([&] { return write_direct(loop.path(), 4 * kMegabyte); }, cgroup->clone_fd())) == 0);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto limited = timed();
  CHECK(limited > 1.0);  // what the kernel promises: 4 MiB at 2 MiB a second, less a first slice
  CHECK_OK(cgroup->apply(plan_of(Version::v2, path, {.block_io = oci::BlockIoLimits{.write_bps = {loop.limit(0)}}})));
  CHECK(value_of(path, "io.max").find("wbps=2097152") == std::string::npos);
  CHECK(timed() < limited);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#cpu, cpus: a process runs only where its cpuset allows") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("cpuset");
  auto cgroup = make(plan_of(Version::v2, own_path(), {.cpu = oci::CpuLimits{.cpus = "0", .mems = "0"}}));
  const auto count = [] {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET(0, &set) ? CPU_COUNT(&set) : 99;
  };
  CHECK(exit_code(start_child(count, cgroup->clone_fd())) == 1);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("an update of real limits that the kernel refuses half way leaves every value as it was") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  for (const auto* name : {"memory", "cpu", "pids"}) NEEDS_CONTROLLER(name);
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path,
                             {.memory = oci::MemoryLimits{.limit = 32 * kMegabyte, .reservation = 4 * kMegabyte},
                              .cpu = oci::CpuLimits{.shares = 512, .quota = 50000, .period = 100000},
                              .pids_limit = 20}));
  const std::vector<std::string> names{"memory.max", "memory.low", "cpu.weight", "cpu.max", "pids.max"};
  std::vector<std::string> before;
  for (const auto& name : names) before.push_back(value_of(path, name));
  const auto done = cgroup->apply(plan_of(Version::v2, path,
                                          {.memory = oci::MemoryLimits{.limit = 64 * kMegabyte, .reservation = kMegabyte},
                                           .cpu = oci::CpuLimits{.shares = 2048, .quota = 10000, .period = 50000},
                                           .pids_limit = 5,
                                           .unified = {{"cgroup.max.descendants", "many"}}}));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().to_string().find("cgroup.max.descendants") != std::string::npos);
  for (std::size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i]);
    CHECK(value_of(path, names[i]) == before[i]);
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup-v2.rst, no internal processes: pids below a parent with processes is an error that says so") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("pids");
  const auto path = own_path();
  auto parent = make(plan_of(Version::v2, path));
  auto child = start_child(sleep_for_ever, parent->clone_fd());
  const auto made = create(plan_of(Version::v2, path + "/web", {.pids_limit = 5}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().to_string().find("processes of its own") != std::string::npos);
  CHECK_FALSE(path_exists(kRoot + path + "/web"));
  // Without a limit it is allowed, and statistics must not cost the cgroup its use.
  auto beside = make(plan_of(Version::v2, path + "/free"));
  CHECK(exit_code(start_child([] { return 3; }, beside->clone_fd())) == 3);
  CHECK_OK(beside->remove());
  CHECK_OK(parent->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}

TEST_CASE("cgroup-v2.rst, threads: below processes that share controllers as threads, a new cgroup is refused by name") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("pids");
  const auto path = own_path();
  auto parent = make(plan_of(Version::v2, path));
  auto child = start_child(sleep_for_ever, parent->clone_fd());
  REQUIRE_OK(write_existing(AT_FDCWD, kRoot + path + "/cgroup.subtree_control", "+pids"));
  const auto made = create(plan_of(Version::v2, path + "/web", {.pids_limit = 5}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().to_string().find("can hold no processes") != std::string::npos);
  CHECK_FALSE(path_exists(kRoot + path + "/web"));
  CHECK_OK(parent->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}
