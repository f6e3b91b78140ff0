// husk update: what the saved resources and a change make together.
#include "container.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::runtime;

TEST_CASE("update: what is absent or 0 stays as it is") {
  oci::Resources saved{.memory = oci::MemoryLimits{.limit = 1000, .swap = 3000},
                       .cpu = oci::CpuLimits{.shares = 512, .quota = 5000, .period = 10000, .cpus = "0"}};
  saved.pids_limit = 7;
  saved.devices = {{.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "r"}};
  const auto merged = merge_resources(saved, {.memory = oci::MemoryLimits{.limit = 2000, .swap = 0},
                                              .cpu = oci::CpuLimits{.shares = 0, .quota = 7000, .period = 0}});
  CHECK(merged.memory->limit == 2000);
  CHECK(merged.memory->swap == 3000);
  CHECK(merged.cpu->shares == 512);
  CHECK(merged.cpu->quota == 7000);
  CHECK(merged.cpu->period == 10000);
  CHECK(merged.cpu->cpus == "0");
  CHECK(merged.pids_limit == 7);
  CHECK(merged.devices.size() == 1);
}

TEST_CASE("update: 0 is a value for pids, burst and idle (config-linux.md#configLinuxPIDS)") {
  oci::Resources saved{.cpu = oci::CpuLimits{.burst = 100, .idle = 1}};
  saved.pids_limit = 7;
  oci::Resources change{.cpu = oci::CpuLimits{.burst = 0, .idle = 0}};
  change.pids_limit = 0;
  const auto merged = merge_resources(saved, change);
  CHECK(merged.pids_limit == 0);
  CHECK(merged.cpu->burst == 0);
  CHECK(merged.cpu->idle == 0);
}

TEST_CASE("update: no limit of memory lifts a limit of memory and swap that was set before") {
  const oci::Resources saved{.memory = oci::MemoryLimits{.limit = 1000, .swap = 3000}};
  CHECK(merge_resources(saved, {.memory = oci::MemoryLimits{.limit = -1}}).memory->swap == -1);
  CHECK(merge_resources({}, {.memory = oci::MemoryLimits{.limit = -1}}).memory->swap == std::nullopt);
}

TEST_CASE("update: entries of lists replace those with the same key and leave the others") {
  oci::Resources saved;
  saved.unified = {{"memory.high", "1"}, {"memory.low", "2"}};
  saved.hugepage_limits = {{.page_size = "2MB", .limit = 1}};
  saved.block_io = oci::BlockIoLimits{.weight = 100, .read_bps = {{.major = 8, .minor = 0, .rate = 1}, {.major = 8, .minor = 16, .rate = 2}}};
  oci::Resources change;
  change.unified = {{"memory.high", "9"}};
  change.hugepage_limits = {{.page_size = "1GB", .limit = 3}};
  change.block_io = oci::BlockIoLimits{.read_bps = {{.major = 8, .minor = 0, .rate = 5}}};
  const auto merged = merge_resources(saved, change);
  CHECK(merged.unified == oci::StringMap{{"memory.low", "2"}, {"memory.high", "9"}});
  CHECK(merged.hugepage_limits.size() == 2);
  CHECK(merged.block_io->weight == 100);
  REQUIRE(merged.block_io->read_bps.size() == 2);
  CHECK(merged.block_io->read_bps[0].rate == 2);
  CHECK(merged.block_io->read_bps[1].rate == 5);
}
