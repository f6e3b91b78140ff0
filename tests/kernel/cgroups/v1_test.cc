// cgroup v1 on the real kernel, in the host's own hierarchies below names of our own.
#include <cerrno>
#include <cstring>

#include "cgroups/v1/hierarchy.h"
#include "kernel/cgroups/scene.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

namespace {

std::string missing_here() {
  if (!is_root()) return "needs root";
  if (host_version() != Version::v1) return "this host has no cgroup v1 controllers";
  return "";
}

std::string place(const char* controller, const std::string& path) {
  const auto all = v1::read_hierarchies();
  REQUIRE_OK(all);
  const auto* found = v1::find_hierarchy(all.value(), controller);
  return found == nullptr ? std::string{} : found->mount + path;
}

int leftovers(const std::string& path) {
  const auto all = v1::read_hierarchies();
  REQUIRE_OK(all);
  int count = 0;
  for (const auto& one : all.value()) count += path_exists(one.mount + path) ? 1 : 0;
  return count;
}

// This process sees only v1 controllers: no v2 hierarchy to freeze and kill with.
struct PlainV1Host : PrivateMounts {
  PlainV1Host() {
    const auto unified = place("unified", "");
    if (!unified.empty()) REQUIRE_OK(sys::umount2(unified, MNT_DETACH));
    REQUIRE(place("unified", "").empty());
  }
};

}  // namespace

TEST_CASE("cgroup v1: a process is in its cgroup in every mounted hierarchy, and removal leaves nothing") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const auto top = own_path();
  auto cgroup = make(plan_of(Version::v1, top + "/web"));
  auto child = start_inside(*cgroup, sleep_for_ever);
  const auto groups = text_of(format_text("/proc/{}/cgroup", child.pid()));
  for (const auto line : split(groups, '\n')) {
    CAPTURE(line);
    const auto controller = split(split(line, ':')[1], ',')[0];  // "" is the v2 hierarchy
    if (place(controller.empty() ? "unified" : std::string{controller}.c_str(), "").empty()) continue;  // mounted elsewhere
    CHECK(line.ends_with(":" + top + "/web"));
  }
  CHECK(cgroup->processes().value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  CHECK(leftovers(top) == 0);
}

TEST_CASE("cgroup v1: limits are written where they belong, and an update raises and lowers memory with swap") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  if (place("memory", "").empty()) HUSK_SKIP("this host has no memory controller of cgroup v1");
  const auto path = own_path();
  oci::Resources resources{.memory = oci::MemoryLimits{.limit = 64 << 20}, .pids_limit = 7};
  resources.cpu = oci::CpuLimits{.quota = 50000, .period = 100000};
  auto cgroup = make(plan_of(Version::v1, path, resources));
  CHECK(text_of(place("memory", path) + "/memory.limit_in_bytes") == "67108864");
  CHECK(text_of(place("pids", path) + "/pids.max") == "7");
  CHECK(text_of(place("cpu", path) + "/cpu.cfs_quota_us") == "50000");
  CHECK_FALSE(text_of(place("cpuset", path) + "/cpuset.cpus").empty());
  CHECK_FALSE(text_of(place("cpuset", path) + "/cpuset.mems").empty());
  if (!path_exists(place("memory", path) + "/memory.memsw.limit_in_bytes")) HUSK_SKIP("no swap accounting");
  for (const std::int64_t mib : {32, 128, 16}) {
    CAPTURE(mib);
    CHECK_OK(cgroup->apply(
        plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.limit = mib << 20, .swap = mib << 20}})));
    CHECK(text_of(place("memory", path) + "/memory.memsw.limit_in_bytes") == std::to_string(mib << 20));
  }
  CHECK_OK(cgroup->apply(plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.limit = -1}})));
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup v1: an update that fails half way leaves the values as they were") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path, {.pids_limit = 7}));
  auto plan = plan_of(Version::v1, path, {.pids_limit = 9});
  plan.files.push_back({"cpu/cpu.shares", "many"});
  REQUIRE_FALSE(cgroup->apply(plan).has_value());
  CHECK(text_of(place("pids", path) + "/pids.max") == "7");
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup v1: a limit whose controller is not mounted is refused by name, and nothing is made") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  if (!place("net_cls", "").empty()) HUSK_SKIP("this host has the net_cls controller");
  const auto path = own_path();
  const auto made = create(plan_of(Version::v1, path, {.network = oci::NetworkLimits{.class_id = 5}}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().kind() == Kind::unsupported);
  CHECK(made.error().to_string().find("net_cls") != std::string::npos);
  CHECK(leftovers(path) == 0);
}

TEST_CASE("cgroup v1: a value that the kernel refuses removes what was made") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const auto path = own_path();
  const auto made = create(plan_of(Version::v1, path + "/web", {.cpu = oci::CpuLimits{.cpus = "4000"}}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().to_string().find("cpuset.cpus") != std::string::npos);
  CHECK(leftovers(path) == 0);
}

TEST_CASE("cgroup v1, config-linux.md#allowed-device-list: a device that no rule allows cannot be opened") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const TempDir nodes;
  const auto node = nodes / "node";
  if (open_device(node, S_IFCHR, 1, 11, O_RDONLY) != 0) HUSK_SKIP("device nodes do not work in the temporary directory");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path,
                             {.devices = {{.allow = false, .access = "rwm"},
                                          {.allow = true, .type = 'c', .major = 1, .minor = 11, .access = "r"}}}));
  const auto open_inside = [&](unsigned major, unsigned minor, int flags) {
    return exit_code(start_inside(*cgroup, [&] { return open_device(node, S_IFCHR, major, minor, flags); }));
  };
  CHECK(open_inside(1, 3, O_RDWR) == 0);
  CHECK(open_inside(1, 11, O_RDONLY) == 0);
  CHECK(open_inside(1, 11, O_WRONLY) == EPERM);
  CHECK(open_inside(1, 4, O_RDONLY) == EPERM);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup v1: an empty leftover is used again with the device rules of the next") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const TempDir nodes;
  const auto node = nodes / "node";
  if (open_device(node, S_IFCHR, 1, 11, O_RDONLY) != 0) HUSK_SKIP("device nodes do not work in the temporary directory");
  const auto path = own_path();
  make(plan_of(Version::v1, path)).reset();
  auto second = make(plan_of(Version::v1, path, {.devices = {{.allow = true, .type = 'a', .access = "rwm"}}}));
  CHECK(exit_code(start_inside(*second, [&] { return open_device(node, S_IFCHR, 1, 11, O_RDONLY); })) == 0);
  CHECK_OK(second->remove());
}

namespace {

void check_freeze_and_kill(const std::string& path) {
  auto cgroup = make(plan_of(Version::v1, path));
  auto child = start_inside(*cgroup, fork_for_ever);
  wait_for_forks(*cgroup);
  CHECK_FALSE(cgroup->is_frozen().value());
  REQUIRE_OK(cgroup->freeze());
  CHECK(cgroup->is_frozen().value());
  const auto frozen = cgroup->processes().value();
  CHECK(frozen.size() > 1);
  REQUIRE_OK(cgroup->thaw());
  CHECK_FALSE(cgroup->is_frozen().value());
  REQUIRE_OK(cgroup->freeze());
  REQUIRE_OK(cgroup->kill_all(SIGKILL));
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  CHECK_OK(cgroup->remove());
  CHECK(leftovers(path) == 0);
}

}  // namespace

TEST_CASE("cgroup v1 on a hybrid host: freeze, thaw and kill a tree that forks") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  check_freeze_and_kill(own_path());
}

TEST_CASE("cgroup v1 without a v2 hierarchy: freeze, thaw and kill a tree that forks") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const PlainV1Host host;
  check_freeze_and_kill(own_path());
}

namespace {

// A container with writable cgroups may freeze a part of itself, and then no SIGKILL ended it.
void check_kill_of_frozen_part(const std::string& path) {
  auto cgroup = make(plan_of(Version::v1, path));
  auto child = start_inside(*cgroup, sleep_for_ever);
  const auto part = "/sys/fs/cgroup/freezer" + path + "/own";
  REQUIRE_OK(sys::mkdirat(AT_FDCWD, part, 0755));
  REQUIRE_OK(write_existing(AT_FDCWD, part + "/cgroup.procs", std::to_string(child.pid())));
  REQUIRE_OK(write_existing(AT_FDCWD, part + "/freezer.state", "FROZEN"));
  REQUIRE_OK(cgroup->kill_all(SIGKILL));
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  CHECK_OK(cgroup->remove());
  CHECK(leftovers(path) == 0);
}

}  // namespace

TEST_CASE("cgroup v1: SIGKILL ends what the container froze in a cgroup of its own, hybrid or not") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  check_kill_of_frozen_part(own_path());
  const PlainV1Host host;
  check_kill_of_frozen_part(own_path());
}

TEST_CASE("cgroup v1 without a v2 hierarchy: removal kills a tree that forks, in sub-cgroups too") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const PlainV1Host host;
  const auto path = own_path();
  auto outer = make(plan_of(Version::v1, path));
  auto inner = make(plan_of(Version::v1, path + "/inner"));
  auto first = start_inside(*outer, fork_for_ever);
  auto second = start_inside(*inner, fork_for_ever);
  wait_for_forks(*outer);
  wait_for_forks(*inner);
  CHECK_OK(remove_path(path, Version::v1));
  CHECK(exit_code(std::move(first)) == 128 + SIGKILL);
  CHECK(exit_code(std::move(second)) == 128 + SIGKILL);
  CHECK(leftovers(path) == 0);
}

TEST_CASE("cgroup v1: cgroups nested deeper than PATH_MAX are removed with their processes") {
  if (!is_root()) HUSK_SKIP("needs root");
  if (!path_exists("/sys/fs/cgroup/freezer")) HUSK_SKIP("no freezer of cgroup v1 here");
  auto cgroup = make(plan_of(Version::v1, own_path()));
  const auto directory = "/sys/fs/cgroup/freezer" + cgroup->path();
  const auto innermost = nest_deeply(directory);
  auto child = start_child(sleep_for_ever);
  REQUIRE_OK(write_existing(innermost.get(), "cgroup.procs", std::to_string(child.pid())));
  const auto processes = cgroup->processes();
  REQUIRE_OK(processes);
  CHECK(processes.value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->remove());
  CHECK(child.wait().value().signal == SIGKILL);
  CHECK_FALSE(path_exists(directory));
}

TEST_CASE("cgroup v1: a path that holds somebody's processes is refused") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  const auto plan = plan_of(Version::v1, own_path());
  auto cgroup = make(plan);
  auto child = start_inside(*cgroup, sleep_for_ever);
  const auto second = create(plan);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().kind() == Kind::exists);
  CHECK(cgroup->processes().value().size() == 1);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup v1: statistics show memory, processor time and processes; an OOM kill is counted") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  if (place("memory", "").empty()) HUSK_SKIP("this host has no memory controller of cgroup v1");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.limit = 16 << 20, .swap = 16 << 20}}));
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  const int ready = pipe.value().write_end.get();
  auto quiet = start_inside(*cgroup, [ready] {
    std::string block(4 << 20, 'x');
    return ::write(ready, block.data(), 1) == 1 ? sleep_for_ever() : 1;
  });
  std::array<char, 1> one;
  REQUIRE_OK(sys::read_some(pipe.value().read_end.get(), one));
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  CHECK(stats.value().memory.usage_bytes >= 4U << 20U);
  CHECK(stats.value().memory.rss_bytes >= 4U << 20U);
  CHECK(stats.value().memory.limit_bytes == 16U << 20U);
  CHECK(stats.value().cpu.usage_ns > 0);
  CHECK(stats.value().pids.current == 1);
  CHECK(stats.value().cpu.per_cpu_ns.size() >= 1);
  CHECK(stats.value().memory.highest_bytes >= stats.value().memory.usage_bytes);
  CHECK(stats.value().memory.details.size() > 20);
  CHECK(stats.value().memory.with_swap.limit == 16U << 20U);
  CHECK(stats.value().memory.swap_limit_bytes == 0);
  CHECK_FALSE(stats.value().cpuset.cpus.empty());
  CHECK(stats.value().cpuset.flags.size() == 9);
  CHECK(read_oom_kills(path) == 0);
  const auto greedy = exit_code(start_inside(*cgroup, [] {
    std::vector<std::string> blocks;
    for (int i = 0; i < 64; ++i) blocks.emplace_back(1 << 20, 'x');
    return 0;
  }));
  CHECK(greedy == 128 + SIGKILL);
  CHECK(read_oom_kills(path) >= 1);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup v1: 50 containers created and removed leave nothing") {
  if (const auto reason = missing_here(); !reason.empty()) HUSK_SKIP(reason);
  for (int i = 0; i < 50; ++i) {
    const auto plan = make_plan_for(Version::v1, "", {}, "husk-test-" + random_hex(4), Driver::cgroupfs);
    REQUIRE_OK(plan);
    auto created = create(plan.value());
    REQUIRE_OK(created);
    CHECK(exit_code(start_inside(*created.value(), [] { return 7; })) == 7);
    REQUIRE_OK(remove_path(plan.value().path, Version::v1));
    CHECK(leftovers(plan.value().path) == 0);
  }
}
