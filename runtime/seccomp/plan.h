// What a filter decides, as plain data: for each architecture a sorted list of ranges of call numbers, and what
// becomes of a call in each. Pure; README.md says which rule wins. emit.h makes instructions of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "seccomp/architectures.h"

namespace husk::runtime {

enum class Compare : std::uint8_t { ne, lt, le, eq, ge, gt, masked_eq };

// (argument & mask) op value; the mask is full but for masked_eq.
struct Condition {
  std::uint32_t index = 0;
  Compare op = Compare::eq;
  std::uint64_t value = 0;
  std::uint64_t mask = ~0ULL;
  bool operator==(const Condition&) const = default;
};
using Conditions = std::vector<Condition>;  // all of them must hold; sorted by index, none twice

struct Check {
  Conditions conditions;
  std::uint32_t action = 0;  // SECCOMP_RET_*
  bool operator==(const Check&) const = default;
};
struct Outcome {
  std::vector<Check> checks;    // the first one that holds decides
  std::uint32_t otherwise = 0;  // SECCOMP_RET_*
  bool wide = true;             // see Architecture
  bool operator==(const Outcome&) const = default;
};

struct Range {
  std::uint32_t first = 0;    // up to the number before the next range's; the last one has no end
  std::uint32_t outcome = 0;  // index
};
struct ArchitecturePlan {
  std::uint32_t token = 0;
  std::vector<Range> ranges;  // the first begins with 0
};
struct FilterPlan {
  std::vector<ArchitecturePlan> architectures;  // any other call is killed
  std::vector<Outcome> outcomes;
};

// One rule of a profile. `alternatives`: any of them; empty = without conditions.
struct FilterRule {
  const std::vector<std::string>* names = nullptr;  // borrowed
  std::uint32_t action = 0;
  std::vector<Conditions> alternatives;
  std::string place;  // for errors: "/syscalls/3"
};
struct FilterInput {
  std::vector<const Architecture*> architectures;  // x32 behind x86_64
  std::vector<FilterRule> rules;
  std::uint32_t default_action = 0;
  bool newer_are_unknown = false;  // calls newer than all that are named answer ENOSYS
};
// Errors: two rules that contradict each other.
Result<FilterPlan> plan_filter(const FilterInput& input);

// Adds one conditional rule to those of the same call, at its place.
enum class Added { yes, redundant, contradiction };
Added add_check(std::vector<Check>& checks, Check check, bool wide);

}  // namespace husk::runtime
