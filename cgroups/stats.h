// What a cgroup uses and has used. What the kernel or the mounted controllers do not tell stays 0, empty or absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace husk::cgroups {

inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
using NamedNumbers = std::vector<std::pair<std::string, std::uint64_t>>;  // in the kernel's order

// Pressure stall information: the share of time in which some, or all, tasks waited. Percent; microseconds.
// Source: kernel Documentation/accounting/psi.rst.
struct PressureLine {
  double avg10 = 0;
  double avg60 = 0;
  double avg300 = 0;
  std::uint64_t total_us = 0;
};
struct Pressure {
  PressureLine some;
  PressureLine full;
};

struct CpuStats {
  std::uint64_t usage_ns = 0;
  std::uint64_t user_ns = 0;
  std::uint64_t kernel_ns = 0;
  std::vector<std::uint64_t> per_cpu_ns;  // v1 only, as the next two
  std::vector<std::uint64_t> per_cpu_kernel_ns;
  std::vector<std::uint64_t> per_cpu_user_ns;
  std::uint64_t periods = 0;
  std::uint64_t throttled_periods = 0;
  std::uint64_t throttled_ns = 0;
  std::uint64_t bursts = 0;  // periods that went above the quota
  std::uint64_t burst_ns = 0;
  std::optional<Pressure> pressure;
};

struct CpusetStats {
  std::vector<std::uint32_t> cpus;  // those in effect
  std::vector<std::uint32_t> mems;
  std::vector<std::pair<std::string, std::int64_t>> flags;  // v1: "cpu_exclusive" and so on
};

struct Usage {
  std::uint64_t now = 0;
  std::uint64_t highest = 0;  // high-water mark
  std::uint64_t limit = kUnlimited;
  std::uint64_t failures = 0;  // how often the limit was hit
};

struct MemoryStats {
  std::uint64_t usage_bytes = 0;
  std::uint64_t highest_bytes = 0;
  std::uint64_t limit_bytes = 0;        // 0 = none
  std::uint64_t limit_hits = 0;
  std::uint64_t working_set_bytes = 0;  // usage - inactive_file
  std::uint64_t rss_bytes = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t page_faults = 0;
  std::uint64_t major_page_faults = 0;
  std::uint64_t swap_bytes = 0;
  std::optional<std::uint64_t> swap_limit_bytes;  // of swap alone; 0 is a real limit
  std::uint64_t oom_kills = 0;
  Usage with_swap;                     // memory + swap
  Usage kernel;
  Usage kernel_tcp;                    // v1
  NamedNumbers details;                // memory.stat
  NamedNumbers events;                 // v2: memory.events
  std::optional<Pressure> pressure;
};

struct IoEntry {
  std::uint64_t major = 0;
  std::uint64_t minor = 0;
  std::string operation;  // "Read", "Write", "Sync", "Async", "Discard", "Total"; "" where there is one number
  std::uint64_t value = 0;
};
struct IoStats {
  std::vector<IoEntry> bytes;
  std::vector<IoEntry> operations;
  std::vector<IoEntry> queued;  // this and the rest: v1 with BFQ
  std::vector<IoEntry> service_ns;
  std::vector<IoEntry> wait_ns;
  std::vector<IoEntry> merged;
  std::vector<IoEntry> time_ms;
  std::vector<IoEntry> sectors;
  std::optional<Pressure> pressure;
};

struct HugePageStats {
  std::string page_size;  // "2MB"
  Usage usage;
};

struct PidsStats {
  std::uint64_t current = 0;
  std::uint64_t limit = kUnlimited;
};

struct Stats {
  std::int64_t timestamp_ns = 0;
  CpuStats cpu;
  CpusetStats cpuset;
  MemoryStats memory;
  PidsStats pids;
  IoStats io;
  std::vector<HugePageStats> huge_pages;
};

}  // namespace husk::cgroups
