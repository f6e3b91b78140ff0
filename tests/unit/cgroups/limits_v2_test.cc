#include <utility>

#include "cgroups/conversion.h"
#include "cgroups/resources.h"
#include "fields.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;

namespace {

using Files = std::vector<ControlFile>;

Files files_of(const oci::Resources& resources) {
  const auto plan = make_plan_for(Version::v2, "/a", resources, "id", Driver::cgroupfs);
  REQUIRE_OK(plan);
  return plan.value().files;
}

std::string error_of(const oci::Resources& resources, Kind kind) {
  const auto plan = make_plan_for(Version::v2, "/a", resources, "id", Driver::cgroupfs);
  REQUIRE_FALSE(plan.has_value());
  CHECK(plan.error().kind() == kind);
  return plan.error().to_string();
}

bool names(const std::string& text, const std::string& pointer) {
  return text.starts_with("\"/linux/resources/" + pointer + "\": ");
}

Files with_memory(oci::MemoryLimits memory) { return files_of({.memory = memory}); }
Files with_cpu(oci::CpuLimits cpu) { return files_of({.cpu = cpu}); }

}  // namespace

TEST_CASE("config-linux.md#cpu: shares become weights so that both defaults meet") {
  const std::pair<std::uint64_t, std::uint64_t> table[] = {
      {0, 0},      {1, 1},      {2, 1},      {10, 4},     {51, 11},     {102, 17},    {128, 21},       {256, 35},
      {512, 59},   {1024, 100}, {2048, 174}, {4096, 303}, {8192, 532},  {16384, 942}, {262144, 10000}, {1000000, 10000}};
  for (const auto& [shares, weight] : table) {
    CAPTURE(shares);
    CHECK(cpu_weight_of_shares(shares) == weight);
  }
}

TEST_CASE("config-linux.md#block-io: weight 10-1000 becomes io.weight 1-10000") {
  CHECK(io_weight_of_blkio(10) == 1);
  CHECK(io_weight_of_blkio(100) == 910);
  CHECK(io_weight_of_blkio(500) == 4950);
  CHECK(io_weight_of_blkio(1000) == 10000);
}

TEST_CASE("config-linux.md#memory: limit and reservation; -1 means no limit") {
  CHECK(with_memory({.limit = 134217728, .reservation = 1000}) ==
        Files{{"memory.max", "134217728"}, {"memory.low", "1000"}});
  CHECK(with_memory({.limit = -1, .swap = -1}) ==
        Files{{"memory.swap.max", "max", Need::if_present}, {"memory.max", "max"}});
  CHECK(with_memory({.limit = -1, .swap = 0}) ==
        Files{{"memory.swap.max", "max", Need::if_present}, {"memory.max", "max"}});
  CHECK(with_memory({.limit = 0, .swap = 0}).empty());
}

TEST_CASE("config-linux.md#memory: swap counts memory + swap, v2 only swap") {
  CHECK(with_memory({.limit = 100, .swap = 250}) == Files{{"memory.swap.max", "150"}, {"memory.max", "100"}});
  CHECK(with_memory({.limit = 100, .swap = 100}) ==
        Files{{"memory.swap.max", "0", Need::if_present}, {"memory.max", "100"}});
  CHECK(with_memory({.limit = 100, .swap = -1}) ==
        Files{{"memory.swap.max", "max", Need::if_present}, {"memory.max", "100"}});
}

TEST_CASE("config-linux.md#memory: impossible values are refused with their pointer") {
  CHECK(names(error_of({.memory = oci::MemoryLimits{.limit = 100, .swap = 50}}, Kind::invalid), "memory/swap"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.swap = 50}}, Kind::invalid), "memory/swap"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.limit = -2}}, Kind::invalid), "memory/limit"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.swappiness = 101}}, Kind::invalid), "memory/swappiness"));
}

TEST_CASE("limits that cgroup v2 does not know are refused by name, their neutral values are not") {
  CHECK(names(error_of({.memory = oci::MemoryLimits{.kernel = 5}}, Kind::unsupported), "memory/kernel"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.kernel_tcp = 5}}, Kind::unsupported), "memory/kernelTCP"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.swappiness = 5}}, Kind::unsupported), "memory/swappiness"));
  CHECK(names(error_of({.memory = oci::MemoryLimits{.disable_oom_killer = true}}, Kind::unsupported),
              "memory/disableOOMKiller"));
  CHECK(names(error_of({.cpu = oci::CpuLimits{.realtime_runtime = 5}}, Kind::unsupported), "cpu/realtimeRuntime"));
  CHECK(names(error_of({.block_io = oci::BlockIoLimits{.leaf_weight = 50}}, Kind::unsupported), "blockIO/leafWeight"));
  CHECK(names(error_of({.network = oci::NetworkLimits{.class_id = 5}}, Kind::unsupported), "network/classID"));
  CHECK(with_memory({.kernel = -1, .disable_oom_killer = false}).empty());
  CHECK(files_of({.network = oci::NetworkLimits{}}).empty());
}

TEST_CASE("config-linux.md#cpu: quota and period share cpu.max") {
  CHECK(with_cpu({.quota = 50000, .period = 200000}) == Files{{"cpu.max", "50000 200000"}});
  CHECK(with_cpu({.quota = 50000}) == Files{{"cpu.max", "50000 100000"}});
  CHECK(with_cpu({.quota = -1}) == Files{{"cpu.max", "max 100000"}});
  CHECK(with_cpu({.period = 200000}) == Files{{"cpu.max", "max 200000"}});
  CHECK(with_cpu({.quota = 50000, .burst = 20000}) ==
        Files{{"cpu.max", "50000 100000"}, {"cpu.max.burst", "20000"}});
}

TEST_CASE("config-linux.md#cpu: an idle group gets no weight, for the kernel refuses one") {
  CHECK(with_cpu({.shares = 1024, .idle = 1}) == Files{{"cpu.idle", "1"}});
  CHECK(with_cpu({.shares = 1024, .idle = 0}) == Files{{"cpu.idle", "0"}, {"cpu.weight", "100"}});
  CHECK(names(error_of({.cpu = oci::CpuLimits{.idle = 2}}, Kind::invalid), "cpu/idle"));
}

TEST_CASE("config-linux.md#cpu: times out of the kernel's range are refused") {
  CHECK(names(error_of({.cpu = oci::CpuLimits{.period = 999}}, Kind::invalid), "cpu/period"));
  CHECK(names(error_of({.cpu = oci::CpuLimits{.period = 1000001}}, Kind::invalid), "cpu/period"));
  CHECK(names(error_of({.cpu = oci::CpuLimits{.quota = 999}}, Kind::invalid), "cpu/quota"));
  CHECK(names(error_of({.cpu = oci::CpuLimits{.quota = 5000, .burst = 5001}}, Kind::invalid), "cpu/burst"));
}

TEST_CASE("config-linux.md#cpu: cpus and mems are number lists") {
  CHECK(with_cpu({.cpus = "0-3,7", .mems = "0"}) == Files{{"cpuset.cpus", "0-3,7"}, {"cpuset.mems", "0"}});
  for (const char* bad : {"a", "0-", "3-1", "0,,1", "0 1", "-1", "0-1-2"}) {
    CAPTURE(bad);
    CHECK(names(error_of({.cpu = oci::CpuLimits{.cpus = bad}}, Kind::invalid), "cpu/cpus"));
  }
}

TEST_CASE("config-linux.md#configLinuxPIDS: -1 means no limit, 0 is a real limit, absent changes nothing") {
  CHECK(files_of({.pids_limit = -1}) == Files{{"pids.max", "max"}});
  CHECK(files_of({.pids_limit = 0}) == Files{{"pids.max", "0"}});
  CHECK(files_of({.pids_limit = 512}) == Files{{"pids.max", "512"}});
  CHECK(files_of({}).empty());
  CHECK(names(error_of({.pids_limit = -2}, Kind::invalid), "pids/limit"));
}

TEST_CASE("config-linux.md#block-io: BFQ takes the weight as it is, io.weight where BFQ is absent") {
  oci::BlockIoLimits io{.weight = 100};
  io.weight_devices = {{.major = 8, .minor = 0, .weight = 500}};
  CHECK(files_of({.block_io = io}) == Files{{"io.bfq.weight", "100", Need::if_present},
                                            {"io.weight", "910", Need::otherwise},
                                            {"io.bfq.weight", "8:0 500", Need::if_present},
                                            {"io.weight", "8:0 4950", Need::otherwise}});
  CHECK(names(error_of({.block_io = oci::BlockIoLimits{.weight = 9}}, Kind::invalid), "blockIO/weight"));
  io.weight_devices = {{.major = 8, .minor = 0}};
  CHECK(names(error_of({.block_io = io}, Kind::invalid), "blockIO/weightDevice/0"));
}

TEST_CASE("config-linux.md#block-io: throttles of one device are one line; 0 lifts a limit") {
  oci::BlockIoLimits io;
  io.read_bps = {{8, 0, 1048576}, {8, 16, 5}};
  io.write_iops = {{8, 0, 100}};
  io.write_bps = {{8, 16, 0}};
  CHECK(files_of({.block_io = io}) ==
        Files{{"io.max", "8:0 rbps=1048576 wiops=100"}, {"io.max", "8:16 rbps=5 wbps=max"}});
  io.read_iops = {{-1, 0, 1}};
  CHECK(names(error_of({.block_io = io}, Kind::invalid), "blockIO/throttleReadIOPSDevice/0"));
}

TEST_CASE("config-linux.md#huge-page-limits: page size is part of a file name, so it is checked to the letter") {
  CHECK(files_of({.hugepage_limits = {{"2MB", 4194304}}}) ==
        Files{{"hugetlb.2MB.max", "4194304"}, {"hugetlb.2MB.rsvd.max", "4194304", Need::if_present}});
  for (const char* bad : {"", "2M", "MB", "02MB", "2mb", "../2MB", "2MB/x", "12345678MB"}) {
    CAPTURE(bad);
    CHECK(names(error_of({.hugepage_limits = {{"1GB", 0}, {bad, 1}}}, Kind::invalid), "hugepageLimits/1/pageSize"));
  }
}

TEST_CASE("config-linux.md#rdma: handles and objects of a device are one line") {
  CHECK(files_of({.rdma = {{.device = "mlx5_1", .hca_handles = 3, .hca_objects = 10000}}}) ==
        Files{{"rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"}});
  CHECK(names(error_of({.rdma = {{.device = "mlx5_1"}}}, Kind::invalid), "rdma/mlx5_1"));
  CHECK(names(error_of({.rdma = {{.device = "a b", .hca_handles = 1}}}, Kind::invalid), "rdma"));
}

TEST_CASE("config-linux.md#unified: files are written as named, after everything else") {
  CHECK(files_of({.pids_limit = 5, .unified = {{"pids.max", "7"}, {"memory.high", "1G"}}}) ==
        Files{{"pids.max", "5"}, {"pids.max", "7"}, {"memory.high", "1G"}});
  CHECK(files_of({.unified = {{"io.max", "8:0 rbps=1\n8:16 wiops=2\n"}, {"cpuset.cpus", ""}}}) ==
        Files{{"io.max", "8:0 rbps=1"}, {"io.max", "8:16 wiops=2"}, {"cpuset.cpus", ""}});
  for (const char* bad : {"", "memory", "../memory.max", "a/b.c", ".hidden", "cgroup.procs", "cgroup.kill"}) {
    CAPTURE(bad);
    CHECK(names(error_of({.unified = {{bad, "1"}}}, Kind::invalid), std::string{"unified/"} + bad));
  }
}

TEST_CASE("config-linux.md#allowed-device-list: malformed rules are refused with their pointer") {
  CHECK(names(error_of({.devices = {{.type = 'x'}}}, Kind::invalid), "devices/0/type"));
  CHECK(names(error_of({.devices = {{}, {.type = 'c', .access = "rx"}}}, Kind::invalid), "devices/1/access"));
  CHECK(names(error_of({.devices = {{.type = 'c', .major = 1LL << 33}}}, Kind::invalid), "devices/0/major"));
}

TEST_CASE("device rules of every plan begin with deny-all") {
  const auto plan = make_plan_for(Version::v2, "/a", {}, "id", Driver::cgroupfs);
  REQUIRE_OK(plan);
  REQUIRE_FALSE(plan.value().device_rules.empty());
  const auto& first = plan.value().device_rules.front();
  CHECK_FALSE(first.allow);
  CHECK(first.type == 'a');
}

TEST_CASE("cgroup v2: each file knows the field that asked for it, for the error") {
  oci::Resources all{.memory = oci::MemoryLimits{.limit = 100, .reservation = 50, .swap = 200}, .pids_limit = 5};
  all.cpu = oci::CpuLimits{.shares = 512, .quota = 50000, .burst = 100, .period = 100000};
  all.cpu->cpus = "0";
  all.cpu->mems = "0";
  all.block_io = oci::BlockIoLimits{.weight = 500};
  all.block_io->weight_devices = {{.major = 8, .minor = 0, .weight = 300}};
  all.block_io->write_bps = {{.major = 8, .minor = 0, .rate = 7}};
  all.hugepage_limits = {{"2MB", 4}};
  all.rdma = {{.device = "mlx5_0", .hca_handles = 1}};
  all.unified = {{"memory.high", "1"}, {"misc.max", "a 1"}};
  test::check_fields(files_of(all), {
             {"memory.max", "memory/limit"},
             {"memory.swap.max", "memory/swap"},
             {"memory.low", "memory/reservation"},
             {"cpu.weight", "cpu/shares"},
             {"cpu.max", "cpu/quota"},
             {"cpu.max.burst", "cpu/burst"},
             {"cpuset.cpus", "cpu/cpus"},
             {"cpuset.mems", "cpu/mems"},
             {"pids.max", "pids/limit"},
             {"io.bfq.weight", "blockIO/weight"},
             {"io.max", "blockIO/throttleWriteBpsDevice/0"},
             {"hugetlb.2MB.max", "hugepageLimits/0/limit"},
             {"rdma.max", "rdma/mlx5_0"},
             {"memory.high", "unified/memory.high"},
             {"misc.max", "unified/misc.max"}});
}
