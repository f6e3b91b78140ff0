// Each limit of cgroup v2, proven by a process that runs into it. Needs controllers that hybrid hosts lend to v1:
// tests/vm has cpu, io, memory and pids, tests/vm --full the others too.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "kernel/cgroups/payloads.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;


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
  CHECK(stats.value().memory.limit_hits > 0);
  CHECK(stats.value().memory.highest_bytes > 8 * kMegabyte);
  CHECK(stats.value().memory.swap_limit_bytes == 0);
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
  CHECK(limited->stats().value().cpu.throttled_ns > 90000000);
  CHECK(limited->stats().value().cpu.throttled_periods >= 1);
  CHECK(limited->stats().value().cpu.periods >= limited->stats().value().cpu.throttled_periods);
  CHECK(free->stats().value().cpu.throttled_ns == 0);
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
  std::uint64_t written = 0;
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  for (const auto& entry : stats.value().io.bytes)
    if (entry.operation == "Write" && entry.minor == static_cast<std::uint64_t>(slow.write_bps[0].minor)) written += entry.value;
  CHECK(written >= 4 * kMegabyte);
  CHECK_OK(cgroup->apply(plan_of(Version::v2, path, {.block_io = oci::BlockIoLimits{.write_bps = {loop.limit(0)}}})));
  CHECK(value_of(path, "io.max").find("wbps=2097152") == std::string::npos);
  CHECK(timed() < limited);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#cpu, cpus: a process runs only where its cpuset allows") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("cpuset");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.cpu = oci::CpuLimits{.cpus = "0", .mems = "0"}}));
  auto child = start_child(sleep_for_ever, cgroup->clone_fd());
  CHECK(cpus_of(child.pid()) == std::vector<int>{0});
  CHECK(cgroup->stats().value().cpuset.cpus == std::vector<std::uint32_t>{0});
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1) {
    CHECK_OK(cgroup->apply(plan_of(Version::v2, path, {.cpu = oci::CpuLimits{.cpus = "1"}})));
    CHECK(cpus_of(child.pid()) == std::vector<int>{1});
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("an update that the kernel refuses at any file leaves every limit as it was") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  for (const auto* name : {"memory", "cpu", "pids"}) NEEDS_CONTROLLER(name);
  const auto path = own_path();
  const auto resources = [](std::int64_t scale) {
    return oci::Resources{.memory = oci::MemoryLimits{.limit = scale * 16 * kMegabyte, .reservation = scale * kMegabyte},
                          .cpu = oci::CpuLimits{.shares = 512U * static_cast<std::uint64_t>(scale), .quota = 20000 * scale,
                                                .burst = 10000U * static_cast<std::uint64_t>(scale), .period = 100000},
                          .pids_limit = 20 * scale,
                          .unified = {{"memory.high", std::to_string(scale * 8 * kMegabyte)}, {"cgroup.max.depth", std::to_string(scale)}}};
  };
  auto cgroup = make(plan_of(Version::v2, path, resources(2)));
  const auto values = [&] {
    std::vector<std::string> found;
    for (const auto& file : plan_of(Version::v2, path, resources(2)).files) found.push_back(file.name + " " + value_of(path, file.name));
    return found;
  };
  const auto before = values();
  for (const std::int64_t scale : {1, 4})  // lower and higher: quota and burst bound each other
    for (std::size_t at = 0; at <= before.size(); ++at)
      for (const ControlFile& bad : {ControlFile{"cgroup.max.descendants", "many"}, ControlFile{"memory.nothing", "1"}}) {
        CAPTURE(scale);
        CAPTURE(at);
        CAPTURE(bad.name);
        auto plan = plan_of(Version::v2, path, resources(scale));
        plan.files.insert(plan.files.begin() + static_cast<std::ptrdiff_t>(at), bad);
        const auto done = cgroup->apply(plan);
        REQUIRE_FALSE(done.has_value());
        CHECK(done.error().to_string().find(bad.name) != std::string::npos);
        CHECK(values() == before);
      }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#huge-page-limits: pages beyond the limit are refused, and the reservation when it is made") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  NEEDS_CONTROLLER("hugetlb");
  const HugePages pool{4};
  if (!pool.reason().empty()) HUSK_SKIP(pool.reason());
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.hugepage_limits = {{"2MB", 2 * kMegabyte}}}));
  CHECK(exit_code(start_child([] { return map_huge_pages(1); }, cgroup->clone_fd())) == 0);
  CHECK(exit_code(start_child([] { return map_huge_pages(2); }, cgroup->clone_fd())) == ENOMEM);
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  REQUIRE_FALSE(stats.value().huge_pages.empty());
  for (const auto& one : stats.value().huge_pages)
    if (one.page_size == "2MB") CHECK(one.usage.limit == 2 * kMegabyte);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("psi.rst: time that a throttled or swapping group waits is seen in its statistics") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  if (!path_exists("/proc/pressure/cpu")) HUSK_SKIP("this kernel counts no pressure (psi=0)");
  NEEDS_CONTROLLER("cpu");
  auto cgroup = make(plan_of(Version::v2, own_path(), {.cpu = oci::CpuLimits{.quota = 10000, .period = 100000}}));
  CHECK(exit_code(start_child([] { return burn_cpu(60); }, cgroup->clone_fd())) == 0);
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  REQUIRE(stats.value().cpu.pressure.has_value());
  CHECK(stats.value().cpu.pressure->some.total_us > 0);
  CHECK(stats.value().memory.pressure.has_value());
  CHECK(stats.value().io.pressure.has_value());
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
