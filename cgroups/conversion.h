// Numbers that mean the same thing on cgroup v1 and v2. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace husk::cgroups {

// cpu.shares (2-262144, default 1024) → cpu.weight (1-10000, default 100). 0 means unset and stays 0.
// The curve goes through (2, 1), (1024, 100) and (262144, 10000), so that defaults meet; the older
// straight line gave 39 for 1024. Source: opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value.
std::uint64_t cpu_weight_of_shares(std::uint64_t shares);

// blkio.weight (10-1000) → io.weight (1-10000). Source: opencontainers/cgroups, ConvertBlkIOToIOWeightValue.
std::uint64_t io_weight_of_blkio(std::uint64_t weight);

// -1 → "max", as v2 files and pids.max say it.
std::string max_or_number(std::int64_t value);

}  // namespace husk::cgroups
