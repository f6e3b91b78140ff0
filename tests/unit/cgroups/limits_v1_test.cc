#include "cgroups/resources.h"
#include "cgroups/v1/device_list.h"
#include "cgroups/v1/hierarchy.h"
#include "fields.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;

namespace {

using Files = std::vector<ControlFile>;

Files files_of(const oci::Resources& resources) {
  const auto plan = make_plan_for(Version::v1, "/a", resources, "id", Driver::cgroupfs);
  REQUIRE_OK(plan);
  return plan.value().files;
}

const oci::DeviceRule kDenyAll{.allow = false, .type = 'a', .access = "rwm"};

}  // namespace

TEST_CASE("config-linux.md#allowed-device-list: a number below -1 is no wildcard, on either version and with either driver") {
  for (const auto version : {Version::v1, Version::v2})
    for (const auto driver : {Driver::cgroupfs, Driver::systemd})
      for (const bool is_major : {true, false}) {
        oci::DeviceRule rule{.allow = true, .type = 'c', .major = 1, .minor = 1, .access = "rwm"};
        (is_major ? rule.major : rule.minor) = -2;
        const auto plan = make_plan_for(version, "", {.devices = {kDenyAll, rule}}, "id", driver);
        REQUIRE_FALSE(plan.has_value());
        CHECK(plan.error().kind() == Kind::invalid);
        CHECK(plan.error().to_string().starts_with(is_major ? "\"/linux/resources/devices/1/major\"" : "\"/linux/resources/devices/1/minor\""));
      }
}

TEST_CASE("cgroup v1: shares that the kernel would clamp in silence are refused with their range") {
  for (const std::uint64_t shares : {2U, 262144U}) CHECK_OK(make_plan_for(Version::v1, "/a", {.cpu = oci::CpuLimits{.shares = shares}}, "id", Driver::cgroupfs));
  for (const std::uint64_t shares : {1U, 262145U}) {
    const auto plan = make_plan_for(Version::v1, "/a", {.cpu = oci::CpuLimits{.shares = shares}}, "id", Driver::cgroupfs);
    REQUIRE_FALSE(plan.has_value());
    CHECK(plan.error().to_string().find("\"/linux/resources/cpu/shares\"") != std::string::npos);
    CHECK(plan.error().to_string().find("from 2 to 262144") != std::string::npos);
  }
}

TEST_CASE("cgroup v1: memory is set before memory + swap, and raised to none after it") {
  CHECK(files_of({.memory = oci::MemoryLimits{.limit = 100, .swap = 200}}) ==
        Files{{"memory/memory.limit_in_bytes", "100"}, {"memory/memory.memsw.limit_in_bytes", "200"}});
  CHECK(files_of({.memory = oci::MemoryLimits{.limit = -1}}) ==
        Files{{"memory/memory.memsw.limit_in_bytes", "-1", Need::if_present}, {"memory/memory.limit_in_bytes", "-1"}});
}

TEST_CASE("cgroup v1: the remaining memory fields have files of their own") {
  CHECK(files_of({.memory = oci::MemoryLimits{.reservation = 1,
                                              .kernel = 2,
                                              .kernel_tcp = 3,
                                              .swappiness = 4,
                                              .disable_oom_killer = true,
                                              .use_hierarchy = true}}) ==
        Files{{"memory/memory.soft_limit_in_bytes", "1"},
              {"memory/memory.kmem.limit_in_bytes", "2"},
              {"memory/memory.kmem.tcp.limit_in_bytes", "3"},
              {"memory/memory.swappiness", "4"},
              {"memory/memory.oom_control", "1"},
              {"memory/memory.use_hierarchy", "1", Need::if_present}});
}

TEST_CASE("cgroup v1: cpu and cpuset") {
  oci::CpuLimits cpu{.shares = 512, .quota = 50000, .burst = 100, .period = 100000};
  cpu.realtime_runtime = 1000;
  cpu.realtime_period = 2000;
  cpu.cpus = "0-1";
  cpu.mems = "0";
  CHECK(files_of({.cpu = cpu}) == Files{{"cpu/cpu.shares", "512"},
                                        {"cpu/cpu.cfs_period_us", "100000"},
                                        {"cpu/cpu.cfs_quota_us", "50000"},
                                        {"cpu/cpu.cfs_burst_us", "100"},
                                        {"cpu/cpu.rt_period_us", "2000"},
                                        {"cpu/cpu.rt_runtime_us", "1000"},
                                        {"cpuset/cpuset.cpus", "0-1"},
                                        {"cpuset/cpuset.mems", "0"}});
  CHECK(files_of({.cpu = oci::CpuLimits{.quota = -5}}) == Files{{"cpu/cpu.cfs_quota_us", "-1"}});
}

TEST_CASE("config-linux.md#configLinuxPIDS: -1 means no limit, 0 is a real limit (cgroup v1)") {
  CHECK(files_of({.pids_limit = -1}) == Files{{"pids/pids.max", "max"}});
  CHECK(files_of({.pids_limit = 0}) == Files{{"pids/pids.max", "0"}});
}

TEST_CASE("cgroup v1: block I/O, huge pages, network and rdma") {
  oci::BlockIoLimits io{.weight = 100, .leaf_weight = 50};
  io.weight_devices = {{.major = 8, .minor = 0, .weight = 20, .leaf_weight = 30}};
  io.read_bps = {{8, 0, 1}};
  io.write_iops = {{8, 0, 2}};
  oci::NetworkLimits network{.class_id = 1048577};
  network.priorities = {{"eth0", 500}};
  CHECK(files_of({.block_io = io,
                  .hugepage_limits = {{"2MB", 5}},
                  .network = network,
                  .rdma = {{.device = "mlx5_1", .hca_handles = 3}}}) ==
        Files{{"blkio/blkio.bfq.weight", "100", Need::if_present},
              {"blkio/blkio.weight", "100", Need::otherwise},
              {"blkio/blkio.leaf_weight", "50"},
              {"blkio/blkio.bfq.weight_device", "8:0 20", Need::if_present},
              {"blkio/blkio.weight_device", "8:0 20", Need::otherwise},
              {"blkio/blkio.leaf_weight_device", "8:0 30"},
              {"blkio/blkio.throttle.read_bps_device", "8:0 1"},
              {"blkio/blkio.throttle.write_iops_device", "8:0 2"},
              {"hugetlb/hugetlb.2MB.limit_in_bytes", "5"},
              {"hugetlb/hugetlb.2MB.rsvd.limit_in_bytes", "5", Need::if_present},
              {"rdma/rdma.max", "mlx5_1 hca_handle=3"},
              {"net_cls/net_cls.classid", "1048577"},
              {"net_prio/net_prio.ifpriomap", "eth0 500"}});
}

TEST_CASE("config-linux.md#unified: refused on a cgroup v1 host") {
  const auto plan = make_plan_for(Version::v1, "/a", {.unified = {{"memory.high", "1"}}}, "id", Driver::cgroupfs);
  REQUIRE_FALSE(plan.has_value());
  CHECK(plan.error().kind() == Kind::unsupported);
  CHECK(plan.error().to_string().starts_with("\"/linux/resources/unified/memory.high\""));
}

TEST_CASE("cgroup v1: device rules are written as deny-all and an allow list") {
  const auto files = v1::device_files({kDenyAll, {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"},
                                       {.allow = true, .type = 'b', .major = 8, .access = "r"}});
  REQUIRE_OK(files);
  CHECK(files.value() == Files{{"devices/devices.deny", "a"},
                               {"devices/devices.allow", "c 1:3 rwm"},
                               {"devices/devices.allow", "b 8:* r"}});
}

TEST_CASE("cgroup v1: allowing everything writes nothing, for a new cgroup has what its parent has") {
  const auto files = v1::device_files({kDenyAll, {.allow = true, .type = 'a', .access = "rwm"}});
  REQUIRE_OK(files);
  CHECK(files.value().empty());
}

TEST_CASE("cgroup v1: a rule for both types becomes two, because \"a\" means everything at once") {
  const auto files = v1::device_files({kDenyAll, {.allow = true, .type = 'a', .major = 7, .access = "r"}});
  REQUIRE_OK(files);
  CHECK(files.value() ==
        Files{{"devices/devices.deny", "a"}, {"devices/devices.allow", "b 7:* r"}, {"devices/devices.allow", "c 7:* r"}});
}

TEST_CASE("cgroup v1: a hole in a wider rule is refused, because the kernel would ignore it") {
  const auto files = v1::device_files({kDenyAll, {.allow = true, .type = 'c', .major = 10, .access = "rwm"},
                                       {.allow = false, .type = 'c', .major = 10, .minor = 200, .access = "rw"}});
  REQUIRE_FALSE(files.has_value());
  CHECK(files.error().kind() == Kind::unsupported);
  CHECK(files.error().to_string().find("c 10:200") != std::string::npos);
}

TEST_CASE("cgroup v1: a wide rule takes back narrower ones before it, by their own numbers") {
  const auto files = v1::device_files({kDenyAll, {.allow = true, .type = 'c', .major = 10, .minor = 1, .access = "rw"},
                                       {.allow = true, .type = 'c', .major = 10, .minor = 2, .access = "r"},
                                       {.allow = false, .type = 'c', .major = 10, .access = "r"}});
  REQUIRE_OK(files);
  CHECK(files.value() == Files{{"devices/devices.deny", "a"}, {"devices/devices.allow", "c 10:1 w"}});
}

TEST_CASE("cgroup v1: a change of rules writes what is new, then what is gone, and all of it where the default changes") {
  const oci::DeviceRule first{.allow = true, .type = 'c', .major = 10, .minor = 1, .access = "rw"};
  const oci::DeviceRule second{.allow = true, .type = 'b', .major = 7, .access = "rwm"};
  const oci::DeviceRule third{.allow = true, .type = 'c', .major = 10, .minor = 1, .access = "wm"};
  const oci::DeviceRule everything{.allow = true, .type = 'a', .access = "rwm"};
  const auto same = v1::device_change({kDenyAll, first}, {kDenyAll, first, first});
  REQUIRE_OK(same);
  CHECK(same.value().files.empty());
  const auto other = v1::device_change({kDenyAll, first}, {kDenyAll, second, third});
  REQUIRE_OK(other);
  CHECK_FALSE(other.value().anew);
  CHECK(other.value().files == Files{{"devices/devices.allow", "b 7:* rwm"},
                                     {"devices/devices.allow", "c 10:1 m"},
                                     {"devices/devices.deny", "c 10:1 r"}});
  const auto opened = v1::device_change({kDenyAll, first}, {everything});
  REQUIRE_OK(opened);
  CHECK(opened.value().anew);
  CHECK(opened.value().files == Files{{"devices/devices.allow", "a"}});
}

TEST_CASE("cgroup v1: mounts are found alone, combined and hybrid, with spaces in their place") {
  const auto all = v1::parse_hierarchies(
      "25 24 0:21 / /proc rw - proc proc rw\n"
      "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "31 30 0:27 / /mnt/copy rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "32 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "33 30 0:28 / /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n"
      "34 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
      "35 30 0:30 / /sys/fs/cgroup/elogind rw - cgroup cgroup rw,name=elogind\n"
      "36 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n");
  REQUIRE(all.size() == 4);
  REQUIRE(v1::find_hierarchy(all, "cpuacct") != nullptr);
  CHECK(v1::find_hierarchy(all, "cpuacct")->mount == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(v1::find_hierarchy(all, "memory")->mount == "/sys/fs/cgroup/my memory");
  CHECK(v1::find_hierarchy(all, v1::kUnified)->mount == "/sys/fs/cgroup/unified");
  CHECK(v1::find_hierarchy(all, "pids") == nullptr);
}

TEST_CASE("cgroup v1: each file knows the field that asked for it, for the error") {
  oci::Resources all{.memory = oci::MemoryLimits{.limit = 100, .reservation = 50, .swap = 200, .kernel_tcp = 3, .swappiness = 4, .disable_oom_killer = false}, .pids_limit = 5};
  all.cpu = oci::CpuLimits{.shares = 512, .quota = 50000, .burst = 100, .period = 100000};
  all.cpu->realtime_runtime = 1000;
  all.cpu->cpus = "0";
  all.cpu->mems = "0";
  all.block_io = oci::BlockIoLimits{.weight = 500};
  all.block_io->weight_devices = {{.major = 8, .minor = 0, .weight = 300}};
  all.block_io->write_bps = {{.major = 8, .minor = 0, .rate = 7}};
  all.hugepage_limits = {{"2MB", 4}};
  all.rdma = {{.device = "mlx5_0", .hca_handles = 1}};
  all.network = oci::NetworkLimits{.class_id = 1, .priorities = {{"lo", 1}}};
  test::check_fields(files_of(all), {
             {"memory/memory.limit_in_bytes", "memory/limit"},
             {"memory/memory.memsw.limit_in_bytes", "memory/swap"},
             {"memory/memory.soft_limit_in_bytes", "memory/reservation"},
             {"memory/memory.kmem.tcp.limit_in_bytes", "memory/kernelTCP"},
             {"memory/memory.swappiness", "memory/swappiness"},
             {"memory/memory.oom_control", "memory/disableOOMKiller"},
             {"cpu/cpu.shares", "cpu/shares"},
             {"cpu/cpu.cfs_period_us", "cpu/period"},
             {"cpu/cpu.cfs_quota_us", "cpu/quota"},
             {"cpu/cpu.cfs_burst_us", "cpu/burst"},
             {"cpu/cpu.rt_runtime_us", "cpu/realtimeRuntime"},
             {"cpuset/cpuset.cpus", "cpu/cpus"},
             {"cpuset/cpuset.mems", "cpu/mems"},
             {"pids/pids.max", "pids/limit"},
             {"blkio/blkio.bfq.weight", "blockIO/weight"},
             {"blkio/blkio.weight_device", "blockIO/weightDevice/0/weight"},
             {"blkio/blkio.throttle.write_bps_device", "blockIO/throttleWriteBpsDevice/0"},
             {"hugetlb/hugetlb.2MB.limit_in_bytes", "hugepageLimits/0/limit"},
             {"rdma/rdma.max", "rdma/mlx5_0"},
             {"net_cls/net_cls.classid", "network/classID"},
             {"net_prio/net_prio.ifpriomap", "network/priorities/0"}});
}
