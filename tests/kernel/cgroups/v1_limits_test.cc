// Each limit of cgroup v1, proven by a process that runs into it, in the host's own hierarchies.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cgroups/v1/hierarchy.h"
#include "kernel/cgroups/payloads.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

#define NEEDS_V1(name)                                                                                         \
  do {                                                                                                         \
    if (!is_root()) HUSK_SKIP("needs root");                                                                   \
    if (place(name, "").empty()) HUSK_SKIP(format_text("this host has no {} controller of cgroup v1", name)); \
  } while (false)

namespace {

std::string place(const char* controller, const std::string& path) {
  const auto all = v1::read_hierarchies();
  REQUIRE_OK(all);
  const auto* found = v1::find_hierarchy(all.value(), controller);
  return found == nullptr ? std::string{} : found->mount + path;
}

// Controllers that nobody has mounted, together in one hierarchy that only this process sees.
// A hierarchy outlives its last mount while a removed cgroup in it is still being taken down, and then stays until
// it is mounted and unmounted again: the whole machine would see it. Source: cgroup_kill_sb() in kernel/cgroup/cgroup.c.
class OwnHierarchy : PrivateMounts {
 public:
  explicit OwnHierarchy(std::string controllers) : controllers_{std::move(controllers)}, is_mounted_{mount()} {}
  OwnHierarchy(const OwnHierarchy&) = delete;
  OwnHierarchy& operator=(const OwnHierarchy&) = delete;
  ~OwnHierarchy() {
    if (!is_mounted_) return;
    CHECK_OK(remove_path(path_, Version::v1));
    const auto is_gone = [this] { return text_of("/proc/self/cgroup").find(":" + controllers_ + ":") == std::string::npos; };
    CHECK_OK(sys::umount2(directory_.path(), 0));
    for (int again = 0; again < 2 && !eventually(is_gone); ++again) {
      (void)mount();
      (void)sys::umount2(directory_.path(), 0);
    }
    CHECK(eventually(is_gone));
  }

  bool is_mounted() const { return is_mounted_; }
  const std::string& path() const { return path_; }  // of the only cgroup that may be made in it
  std::string file(const std::string& name) const { return directory_.path() + path_ + "/" + name; }

 private:
  bool mount() { return sys::mount("none", directory_.path(), "cgroup", 0, controllers_).has_value(); }

  std::string controllers_;
  TempDir directory_;
  std::string path_ = own_path();
  bool is_mounted_;
};

}  // namespace

TEST_CASE("config-linux.md#pids: a fork beyond the limit fails, one below it does not (cgroup v1)") {
  NEEDS_V1("pids");
  auto cgroup = make(plan_of(Version::v1, own_path(), {.pids_limit = 4}));
  CHECK(exit_code(start_inside(*cgroup, count_forks)) == 3);
  CHECK(cgroup->stats().value().pids.limit == 4);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#cpu: a process beyond its quota is throttled for the rest of the period (cgroup v1)") {
  NEEDS_V1("cpu");
  auto limited = make(plan_of(Version::v1, own_path(), {.cpu = oci::CpuLimits{.quota = 10000, .period = 100000}}));
  auto free = make(plan_of(Version::v1, own_path()));
  CHECK(exit_code(start_inside(*limited, [] { return burn_cpu(60); })) == 0);
  CHECK(exit_code(start_inside(*free, [] { return burn_cpu(60); })) == 0);
  CHECK(limited->stats().value().cpu.throttled_ns > 0);
  CHECK(limited->stats().value().cpu.throttled_periods >= 1);
  CHECK(free->stats().value().cpu.throttled_ns == 0);
  CHECK_OK(limited->remove());
  CHECK_OK(free->remove());
}

TEST_CASE("config-linux.md#cpu, cpus: a process runs only where its cpuset allows, and follows an update (cgroup v1)") {
  NEEDS_V1("cpuset");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path, {.cpu = oci::CpuLimits{.cpus = "0", .mems = "0"}}));
  auto child = start_inside(*cgroup, sleep_for_ever);
  CHECK(cpus_of(child.pid()) == std::vector<int>{0});
  CHECK(cgroup->stats().value().cpuset.cpus == std::vector<std::uint32_t>{0});
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1) {
    CHECK_OK(cgroup->apply(plan_of(Version::v1, path, {.cpu = oci::CpuLimits{.cpus = "1"}})));
    CHECK(cpus_of(child.pid()) == std::vector<int>{1});
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#memory: a limit below the usage is refused with checkBeforeUpdate, and nobody dies (cgroup v1)") {
  NEEDS_V1("memory");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.limit = 64 * kMegabyte}}));
  auto ready = sys::pipe2();
  REQUIRE_OK(ready);
  auto child = start_inside(*cgroup, [&] {
    (void)touch_memory(32 * kMegabyte);
    return ::write(ready.value().write_end.get(), "x", 1) == 1 ? sleep_for_ever() : 1;
  });
  std::array<char, 1> byte{};
  REQUIRE(sys::read_some(ready.value().read_end.get(), byte).value() == 1);
  const auto done = cgroup->apply(plan_of(
      Version::v1, path, {.memory = oci::MemoryLimits{.limit = 8 * kMegabyte, .check_before_update = true}}));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().kind() == Kind::busy);
  CHECK(done.error().to_string().find("in use") != std::string::npos);
  CHECK(text_of(place("memory", path) + "/memory.limit_in_bytes") == std::to_string(64 * kMegabyte));
  CHECK(cgroup->processes().value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#block-io: writes to a loop device wait for the limit of bytes a second (cgroup v1)") {
  NEEDS_V1("blkio");
  if (!path_exists(place("blkio", "") + "/blkio.throttle.write_bps_device")) HUSK_SKIP("this kernel throttles no block devices");
  const LoopDevice loop;
  if (!loop.works()) HUSK_SKIP("no loop device can be made here");
  const auto path = own_path();
  const oci::BlockIoLimits slow{.write_bps = {loop.limit(2 * kMegabyte)}};
  const oci::DeviceRule may_write{
      .allow = true, .type = 'b', .major = slow.write_bps[0].major, .minor = slow.write_bps[0].minor, .access = "rw"};
  auto cgroup = make(plan_of(Version::v1, path, {.devices = {may_write}, .block_io = slow}));
  const auto timed = [&] {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(exit_code(start_inside(*cgroup, [&] { return write_direct(loop.path(), 4 * kMegabyte); })) == 0);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  CHECK(timed() > 1.0);  // what the kernel promises: 4 MiB at 2 MiB a second, less a first slice
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  std::uint64_t written = 0;
  for (const auto& entry : stats.value().io.bytes)
    if (entry.major == static_cast<std::uint64_t>(slow.write_bps[0].major) && entry.operation == "Write") written += entry.value;
  CHECK(written >= 4 * kMegabyte);
  CHECK_OK(cgroup->apply(plan_of(Version::v1, path, {.block_io = oci::BlockIoLimits{.write_bps = {loop.limit(0)}}})));
  CHECK(text_of(place("blkio", path) + "/blkio.throttle.write_bps_device").empty());
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#network: class and priorities, of controllers that share one mount (cgroup v1)") {
  NEEDS_V1("freezer");
  if (!place("net_cls", "").empty()) HUSK_SKIP("this host has net_cls mounted already");
  const OwnHierarchy own{"net_cls,net_prio"};
  if (!own.is_mounted()) HUSK_SKIP("this kernel has no net_cls and net_prio controllers, or they are in use");
  const auto& path = own.path();
  {
    auto cgroup = make(plan_of(Version::v1, path, {.network = oci::NetworkLimits{.class_id = 0x100001, .priorities = {{"lo", 5}}}}));
    CHECK(text_of(own.file("net_cls.classid")) == "1048577");
    CHECK(text_of(own.file("net_prio.ifpriomap")).find("lo 5") != std::string::npos);
    auto child = start_inside(*cgroup, sleep_for_ever);
    CHECK(text_of(format_text("/proc/{}/cgroup", child.pid())).find(":net_cls,net_prio:" + path) != std::string::npos);
    // The priority comes back when a later file is refused.
    auto plan = plan_of(Version::v1, path, {.network = oci::NetworkLimits{.priorities = {{"lo", 9}}}});
    plan.files.push_back({"pids/pids.max", "many"});
    CHECK_FALSE(cgroup->apply(plan).has_value());
    CHECK(text_of(own.file("net_prio.ifpriomap")).find("lo 5") != std::string::npos);
    CHECK_OK(cgroup->remove());
    CHECK_FALSE(path_exists(own.file("")));
  }
}

TEST_CASE("config-linux.md#huge-page-limits: pages beyond the limit are refused (cgroup v1)") {
  NEEDS_V1("freezer");
  if (!place("hugetlb", "").empty()) HUSK_SKIP("this host has hugetlb mounted already");
  const HugePages pool{4};
  if (!pool.reason().empty()) HUSK_SKIP(pool.reason());
  const OwnHierarchy own{"hugetlb"};
  if (!own.is_mounted()) HUSK_SKIP("this kernel has no hugetlb controller, or it is in use");
  const oci::Resources one_page{.hugepage_limits = {{"2MB", 2 * kMegabyte}}};
  auto cgroup = make(plan_of(Version::v1, own.path(), one_page));
  CHECK(text_of(own.file("hugetlb.2MB.limit_in_bytes")) == std::to_string(2 * kMegabyte));
  CHECK(exit_code(start_inside(*cgroup, [] { return map_huge_pages(1); })) == 0);
  CHECK(exit_code(start_inside(*cgroup, [] { return map_huge_pages(2); })) == ENOMEM);
  const auto stats = cgroup->stats();
  CHECK_OK(stats);
  if (stats.has_value()) CHECK(std::ranges::count(stats.value().huge_pages, "2MB", &HugePageStats::page_size) == 1);
  CHECK_OK(cgroup->apply(plan_of(Version::v1, own.path(), {.hugepage_limits = {{"2MB", 4 * kMegabyte}}})));
  CHECK(exit_code(start_inside(*cgroup, [] { return map_huge_pages(2); })) == 0);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a limit that the kernel refuses is an error that names field and file, at create and update (cgroup v1)") {
  NEEDS_V1("cpuset");
  const auto path = own_path();
  const oci::Resources refused{.cpu = oci::CpuLimits{.cpus = "8190"}};
  const auto made = create(plan_of(Version::v1, path, refused));
  REQUIRE_FALSE(made.has_value());
  auto cgroup = make(plan_of(Version::v1, path));
  const auto changed = cgroup->apply(plan_of(Version::v1, path, refused));
  REQUIRE_FALSE(changed.has_value());
  for (const auto& error : {made.error(), changed.error()}) {
    const auto text = error.to_string();
    CAPTURE(text);
    CHECK(text.find("\"/linux/resources/cpu/cpus\": ") != std::string::npos);
    CHECK(text.find("/cpuset.cpus") != std::string::npos);
    CHECK(error.kind() == Kind::invalid);
  }
  // The processors must be the parent's too: EACCES is no matter of permissions there.
  if (::sysconf(_SC_NPROCESSORS_ONLN) > 1) {
    CHECK_OK(cgroup->apply(plan_of(Version::v1, path, {.cpu = oci::CpuLimits{.cpus = "0"}})));
    const auto below = create(plan_of(Version::v1, path + "/below", {.cpu = oci::CpuLimits{.cpus = "1"}}));
    CHECK_FALSE(below.has_value());
    if (!below.has_value()) CHECK(below.error().to_string().find("the parent's cpuset") != std::string::npos);
    if (!below.has_value()) CHECK(below.error().to_string().find("requested 1, available here 0") != std::string::npos);
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a limit that the kernel refuses: the hint has the numbers of the parent, of the usage, and BFQ's name (cgroup v1)") {
  NEEDS_V1("memory");
  const auto path = own_path();
  auto parent = make(plan_of(Version::v1, path, {.cpu = oci::CpuLimits{.quota = 20000, .period = 100000}}));
  const auto says = [&](const oci::Resources& resources, std::initializer_list<std::string> texts) {
    const auto made = create(plan_of(Version::v1, path + "/below", resources));
    REQUIRE_FALSE(made.has_value());
    const auto text = made.error().to_string();
    CAPTURE(text);
    for (const auto& part : texts) CHECK(text.find(part) != std::string::npos);
  };
  says({.cpu = oci::CpuLimits{.quota = 50000, .period = 100000}}, {path + " above has 20000 of 100000 microseconds"});
  says({.cpu = oci::CpuLimits{.cpus = "0-4095"}}, {"requested 0-4095, available here "});
  auto child = start_inside(*parent, sleep_for_ever);
  const auto usage = place("memory", path) + "/memory.usage_in_bytes";
  if (text_of(usage) != "0") {
    const auto changed = parent->apply(plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.limit = 1}}));
    if (!changed.has_value()) {  // the kernel may find everything to give back
      const auto text = changed.error().to_string();
      CAPTURE(text);
      CHECK(text.find("bytes are in use and could not be given back, the new limit is 1") != std::string::npos);
    }
  }
  CHECK_OK(parent->remove());
}

TEST_CASE("an update that the kernel refuses at any file leaves every limit as it was (cgroup v1)") {
  NEEDS_V1("memory");
  const auto path = own_path();
  const auto resources = [](std::int64_t scale) {
    return oci::Resources{.memory = oci::MemoryLimits{.limit = scale * 16 * kMegabyte, .reservation = scale * kMegabyte, .swap = scale * 16 * kMegabyte},
                          .cpu = oci::CpuLimits{.shares = 512U * static_cast<std::uint64_t>(scale), .quota = 20000 * scale, .period = 100000},
                          .pids_limit = 20 * scale};
  };
  if (!path_exists(place("memory", "") + "/memory.memsw.limit_in_bytes")) HUSK_SKIP("no swap accounting");
  auto cgroup = make(plan_of(Version::v1, path, resources(2)));
  const auto values = [&] {
    std::vector<std::string> found;
    for (const auto& file : plan_of(Version::v1, path, resources(2)).files) {
      const auto slash = file.name.find('/');
      found.push_back(file.name + " " + text_of(place(file.name.substr(0, slash).c_str(), path) + file.name.substr(slash)));
    }
    return found;
  };
  const auto before = values();
  for (const std::int64_t scale : {1, 4})  // lower and higher: limit and memory + swap bound each other
    for (std::size_t at = 0; at <= before.size(); ++at)
      for (const ControlFile& bad : {ControlFile{"cpu/cpu.shares", "many"}, ControlFile{"memory/memory.nothing", "1"}}) {
        CAPTURE(scale);
        CAPTURE(at);
        CAPTURE(bad.name);
        auto plan = plan_of(Version::v1, path, resources(scale));
        plan.files.insert(plan.files.begin() + static_cast<std::ptrdiff_t>(at), bad);
        const auto done = cgroup->apply(plan);
        REQUIRE_FALSE(done.has_value());
        CHECK(done.error().to_string().find(bad.name.substr(bad.name.find('/') + 1)) != std::string::npos);
        CHECK(values() == before);
      }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("an update that fails lets the OOM killer work again as before (cgroup v1)") {
  NEEDS_V1("memory");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path));
  const auto killer = [&] { return text_of(place("memory", path) + "/memory.oom_control").substr(0, 18); };
  for (const bool off : {true, false}) {
    CAPTURE(off);
    const auto before = killer();
    CHECK(before == (off ? "oom_kill_disable 0" : "oom_kill_disable 1"));
    auto plan = plan_of(Version::v1, path, {.memory = oci::MemoryLimits{.disable_oom_killer = off}});
    auto bad = plan;
    bad.files.push_back({"memory/memory.swappiness", "many"});
    REQUIRE_FALSE(cgroup->apply(bad).has_value());
    CHECK(killer() == before);
    CHECK_OK(cgroup->apply(plan));
    CHECK(killer() != before);
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("freeze, kill and removal hold against processes that fork and end without pause (cgroup v1)") {
  NEEDS_V1("freezer");
  auto cgroup = make(plan_of(Version::v1, own_path(), {.pids_limit = 500}));
  auto child = start_inside(*cgroup, fork_storm);
  wait_for_forks(*cgroup);
  REQUIRE_OK(cgroup->freeze());
  CHECK(cgroup->processes().value() == cgroup->processes().value());
  REQUIRE_OK(cgroup->thaw());
  CHECK_OK(cgroup->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}

TEST_CASE("a cgroup that vanished: reading and changing it is an error, removing it is not (cgroup v1)") {
  NEEDS_V1("freezer");
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v1, path, {.pids_limit = 7}));
  REQUIRE_OK(remove_path(path, Version::v1));
  CHECK_FALSE(cgroup->stats().has_value());
  CHECK_FALSE(cgroup->freeze().has_value());
  CHECK_FALSE(cgroup->apply(plan_of(Version::v1, path, {.pids_limit = 9})).has_value());
  CHECK(cgroup->processes().value().empty());
  CHECK_OK(cgroup->remove());
}
