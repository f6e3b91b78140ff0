// The assembled program runs in a small interpreter and must decide as the specification's text says.
#include <linux/bpf.h>

#include <array>
#include <optional>
#include <random>
#include <set>

#include "cgroups/device_rules.h"
#include "cgroups/v2/device_filter.h"
#include "harness/device_oracle.h"
#include "harness/harness.h"

using namespace husk;
using namespace husk::cgroups;
using oci::DeviceRule;

namespace {

using Access = test::DeviceAccess;
using test::is_allowed;

// Only the instructions that the assembler uses; any other one fails the test. Source: RFC 9669.
std::optional<std::uint32_t> run(const std::vector<bpf_insn>& program, const bpf_cgroup_dev_ctx& context) {
  std::array<std::uint64_t, 11> registers{};
  const std::array<std::uint32_t, 3> words = {context.access_type, context.major, context.minor};
  for (std::size_t at = 0; at < program.size(); ++at) {
    const auto& code = program[at];
    auto& to = registers[code.dst_reg];
    const auto operand = (code.code & BPF_X) != 0 ? static_cast<std::uint32_t>(registers[code.src_reg])
                                                  : static_cast<std::uint32_t>(code.imm);
    const auto value = static_cast<std::uint32_t>(to);
    switch (code.code) {
      case BPF_LDX | BPF_MEM | BPF_W: to = words.at(static_cast<std::size_t>(code.off) / 4); break;
      case BPF_ALU | BPF_MOV | BPF_X:
      case BPF_ALU | BPF_MOV | BPF_K: to = operand; break;
      case BPF_ALU | BPF_AND | BPF_K: to = value & operand; break;
      case BPF_ALU | BPF_RSH | BPF_K: to = value >> operand; break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        if (value != operand) at += static_cast<std::size_t>(code.off);
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        if (value == operand) at += static_cast<std::size_t>(code.off);
        break;
      case BPF_JMP | BPF_EXIT: return static_cast<std::uint32_t>(registers[0]);
      default: return std::nullopt;
    }
  }
  return std::nullopt;  // ran off the end
}

bool filter_allows(const std::vector<bpf_insn>& program, const Access& access) {
  const bpf_cgroup_dev_ctx context{
      .access_type = (access.bits << 16U) | (access.type == 'b' ? 1U : 2U), .major = access.major, .minor = access.minor};
  const auto result = run(program, context);
  if (!result.has_value() || *result > 1) FAIL("the program left the interpreter's instructions");
  return *result == 1;
}

std::vector<Access> some_accesses() {
  std::vector<Access> accesses;
  for (const char type : {'b', 'c'})
    for (const std::uint32_t major : {0U, 1U, 5U, 10U, 0xffffffffU})
      for (const std::uint32_t minor : {0U, 3U, 200U, 0x80000000U})
        for (unsigned bits = 1; bits <= kMayAll; ++bits) accesses.push_back({type, major, minor, bits});
  return accesses;
}

DeviceRule random_rule(std::mt19937& random) {
  return test::random_rule(random, {std::nullopt, -1, 1, 5, 0xffffffffLL, 3});
}

const DeviceRule kDenyAll{.allow = false, .type = 'a', .access = "rwm"};
const DeviceRule kAllowAll{.allow = true, .type = 'a', .access = "rwm"};

}  // namespace

TEST_CASE("config-linux.md#allowed-device-list: the filter decides as the rule list in 4000 random lists") {
  std::mt19937 random{20261121};
  const auto accesses = some_accesses();
  for (int round = 0; round < 4000; ++round) {
    std::vector<DeviceRule> rules{kDenyAll};
    for (auto count = random() % 7; count > 0; --count) rules.push_back(random_rule(random));
    // Neighbours that differ in the minor number only, which the assembler joins.
    if (const auto twin = rules.back(); random() % 2 == 0)
      for (const std::int64_t minor : {3, 200})
        rules.push_back({.allow = twin.allow, .type = twin.type, .major = 10, .minor = minor, .access = twin.access});
    const auto reduced = reduce_rules(rules);
    REQUIRE(matches_everything(reduced.front()));
    const auto program = v2::assemble_device_filter(reduced);
    for (const auto& access : accesses) {
      const bool expected = is_allowed(rules, access);
      if (filter_allows(program, access) == expected && is_allowed(reduced, access) == expected) continue;
      FAIL("round ", round, ": ", access.type, " ", access.major, ":", access.minor, " bits ", access.bits);
    }
  }
}

TEST_CASE("config-linux.md#default-devices: every container may use the default devices and no other") {
  const auto program = v2::assemble_device_filter(reduce_rules(complete_rules({})));
  for (const std::uint32_t minor : {3U, 5U, 7U, 8U, 9U}) CHECK(filter_allows(program, {'c', 1, minor, kMayAll}));
  for (const std::uint32_t minor : {0U, 1U, 2U}) CHECK(filter_allows(program, {'c', 5, minor, kMayAll}));
  CHECK(filter_allows(program, {'c', 136, 77, kMayRead | kMayWrite}));
  CHECK(filter_allows(program, {'b', 8, 0, kMayMknod}));
  CHECK_FALSE(filter_allows(program, {'b', 8, 0, kMayRead}));
  CHECK_FALSE(filter_allows(program, {'c', 1, 1, kMayRead}));
  CHECK_FALSE(filter_allows(program, {'c', 1, 11, kMayRead | kMayMknod}));
}

TEST_CASE("GHSA-g54h-m393-cpwq: an empty rule list denies, it does not allow") {
  CHECK_FALSE(filter_allows(v2::assemble_device_filter(reduce_rules({})), {'b', 8, 0, kMayRead}));
  CHECK_FALSE(filter_allows(v2::assemble_device_filter({}), {'b', 8, 0, kMayRead}));
}

TEST_CASE("a rule list that allows everything is reduced to one rule, so that no filter is loaded") {
  const auto reduced = reduce_rules(complete_rules({kAllowAll}));
  REQUIRE(reduced.size() == 1);
  CHECK(reduced.front().allow);
}

TEST_CASE("a denied device inside an allowed range stays denied") {
  const auto program = v2::assemble_device_filter(
      reduce_rules({kDenyAll, {.allow = true, .type = 'c', .major = 10, .access = "rwm"},
                    {.allow = false, .type = 'c', .major = 10, .minor = 200, .access = "w"}}));
  CHECK(filter_allows(program, {'c', 10, 200, kMayRead}));
  CHECK_FALSE(filter_allows(program, {'c', 10, 200, kMayRead | kMayWrite}));
  CHECK(filter_allows(program, {'c', 10, 229, kMayRead | kMayWrite}));
}

TEST_CASE("the usual rule list makes a filter of less than 40 instructions, and repeated rules cost nothing") {
  auto rules = complete_rules({kDenyAll});
  const auto once = v2::assemble_device_filter(reduce_rules(rules)).size();
  CHECK(once < 40);
  const auto twice = complete_rules(rules);
  CHECK(v2::assemble_device_filter(reduce_rules(twice)).size() == once);
}

TEST_CASE("rule lists that decide alike are the same list, whatever they repeat") {
  const DeviceRule tty{.allow = true, .type = 'c', .major = 10, .minor = 200, .access = "rw"};
  CHECK(are_same_rules(complete_rules({}), complete_rules({kDenyAll})));
  CHECK(are_same_rules(complete_rules({kDenyAll, tty}), complete_rules({tty, tty})));
  CHECK_FALSE(are_same_rules(complete_rules({tty}), complete_rules({})));
  CHECK_FALSE(are_same_rules(complete_rules({kAllowAll}), complete_rules({})));
  auto wider = tty;
  wider.access = "";
  CHECK_FALSE(are_same_rules(complete_rules({tty}), complete_rules({wider})));
}
