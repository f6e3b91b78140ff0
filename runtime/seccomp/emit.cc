#include "seccomp/emit.h"

#include <linux/seccomp.h>
#include <stddef.h>

#include <algorithm>
#include <bit>
#include <optional>

namespace husk::runtime {
namespace {

constexpr std::uint32_t kFull = 0xffffffff;
constexpr std::size_t kFarthest = 255;  // jt and jf have 8 bits

// Jumps only go forward, so the program is written from its end: each target is known when it is jumped to.
// A label is the number of instructions from there to the end.
using Label = std::size_t;

class Writer {
 public:
  Label give(std::uint32_t action) {
    for (auto& known : returns_)
      if (known.action == action) return is_near(known.label) ? known.label : known.label = push(BPF_RET | BPF_K, action);
    returns_.push_back({.action = action, .label = push(BPF_RET | BPF_K, action)});
    return returns_.back().label;
  }

  Label branch(std::uint16_t op, std::uint32_t value, Label yes, Label no) {
    if (yes == no) return yes;
    yes = near(yes);
    no = near(no);
    const auto jump = [&](Label to) { return static_cast<std::uint8_t>(code_.size() - to); };
    code_.push_back({.code = static_cast<std::uint16_t>(BPF_JMP | op | BPF_K), .jt = jump(yes), .jf = jump(no), .k = value});
    return code_.size();
  }

  // The word at `offset` of seccomp_data, masked, then `next`.
  Label load(std::size_t offset, Label next, std::uint32_t mask = kFull) {
    if (next != code_.size()) push(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(code_.size() - next));
    if (mask != kFull) push(BPF_ALU | BPF_AND | BPF_K, mask);
    return push(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  }

  std::vector<sock_filter> finish() {
    std::ranges::reverse(code_);
    return std::move(code_);
  }

 private:
  struct Return {
    std::uint32_t action;
    Label label;
  };

  Label push(unsigned code, std::uint32_t k) {
    code_.push_back({.code = static_cast<std::uint16_t>(code), .jt = 0, .jf = 0, .k = k});
    return code_.size();
  }
  // One more instruction may come between: the stepping stone of the branch's other side.
  bool is_near(Label label) const { return code_.size() + 1 - label <= kFarthest; }
  // What is too far gets a stepping stone. Source: linux/filter.h: JA has 32 bits.
  Label near(Label label) {
    if (is_near(label)) return label;
    const auto& target = code_[label - 1];
    if (target.code == (BPF_RET | BPF_K)) return give(target.k);
    return push(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(code_.size() - label));
  }

  std::vector<sock_filter> code_;
  std::vector<Return> returns_;  // the nearest one of each action
};

constexpr std::size_t kHighFirst = std::endian::native == std::endian::big ? 0 : sizeof(std::uint32_t);
std::size_t high_word(std::uint32_t index) { return offsetof(seccomp_data, args) + index * sizeof(std::uint64_t) + kHighFirst; }
std::size_t low_word(std::uint32_t index) {
  return offsetof(seccomp_data, args) + index * sizeof(std::uint64_t) + sizeof(std::uint32_t) - kHighFirst;
}
constexpr std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32U); }
constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

Label emit_word(Writer& writer, std::size_t offset, std::uint32_t mask, std::uint32_t value, Label yes, Label no) {
  if (mask == 0 || yes == no) return yes;
  return writer.load(offset, writer.branch(BPF_JEQ, value & mask, yes, no), mask);
}

Label emit_equal(Writer& writer, const Condition& is, bool wide, Label yes, Label no) {
  const auto rest = emit_word(writer, low_word(is.index), low(is.mask), low(is.value), yes, no);
  if (!wide) return rest;
  return emit_word(writer, high_word(is.index), high(is.mask), high(is.value), rest, no);
}

// op: BPF_JGT or BPF_JGE. 64 bits: the high word decides unless it is equal.
Label emit_order(Writer& writer, const Condition& is, std::uint16_t op, bool wide, Label yes, Label no) {
  if (yes == no) return yes;
  const auto rest = writer.load(low_word(is.index), writer.branch(op, low(is.value), yes, no));
  if (!wide) return rest;
  const auto equal = writer.branch(BPF_JEQ, high(is.value), rest, no);
  return writer.load(high_word(is.index), writer.branch(BPF_JGT, high(is.value), yes, equal));
}

Label emit_condition(Writer& writer, const Condition& is, bool wide, Label yes, Label no) {
  switch (is.op) {
    case Compare::eq:
    case Compare::masked_eq: return emit_equal(writer, is, wide, yes, no);
    case Compare::ne: return emit_equal(writer, is, wide, no, yes);
    case Compare::gt: return emit_order(writer, is, BPF_JGT, wide, yes, no);
    case Compare::ge: return emit_order(writer, is, BPF_JGE, wide, yes, no);
    case Compare::le: return emit_order(writer, is, BPF_JGT, wide, no, yes);
    case Compare::lt: return emit_order(writer, is, BPF_JGE, wide, no, yes);
  }
  return no;
}

Label emit_outcome(Writer& writer, const Outcome& outcome) {
  auto next = writer.give(outcome.otherwise);
  for (auto check = outcome.checks.rbegin(); check != outcome.checks.rend(); ++check) {
    auto held = writer.give(check->action);
    for (auto is = check->conditions.rbegin(); is != check->conditions.rend(); ++is)
      held = emit_condition(writer, *is, outcome.wide, held, next);
    next = held;
  }
  return next;
}

// Binary search over the ranges: a call is found in as many steps as their number has bits.
class Search {
 public:
  Search(Writer& writer, const FilterPlan& plan, std::vector<std::optional<Label>>& known)
      : writer_{writer}, plan_{plan}, known_{known} {}

  Label emit(const std::vector<Range>& ranges, std::size_t first, std::size_t last) {
    if (last - first == 1) return outcome(ranges[first].outcome);
    if (last - first == 3 && ranges[first].outcome == ranges[first + 2].outcome &&
        ranges[first + 1].first + 1 == ranges[first + 2].first) {
      const auto here = outcome(ranges[first + 1].outcome);
      return writer_.branch(BPF_JEQ, ranges[first + 1].first, here, outcome(ranges[first].outcome));
    }
    const auto middle = first + (last - first) / 2;
    const auto above = emit(ranges, middle, last);
    return writer_.branch(BPF_JGE, ranges[middle].first, above, emit(ranges, first, middle));
  }

 private:
  Label outcome(std::uint32_t index) {
    const auto& wanted = plan_.outcomes[index];
    if (wanted.checks.empty()) return writer_.give(wanted.otherwise);
    if (!known_[index].has_value()) known_[index] = emit_outcome(writer_, wanted);
    return *known_[index];
  }

  Writer& writer_;
  const FilterPlan& plan_;
  std::vector<std::optional<Label>>& known_;  // where the checks of each outcome are
};

}  // namespace

std::vector<sock_filter> emit_filter(const FilterPlan& plan) {
  Writer writer;
  std::vector<std::optional<Label>> known(plan.outcomes.size());
  // As libseccomp: a call of an architecture that is not listed kills the thread.
  auto next = writer.give(SECCOMP_RET_KILL_THREAD);
  for (auto item = plan.architectures.rbegin(); item != plan.architectures.rend(); ++item) {
    const auto search = Search{writer, plan, known}.emit(item->ranges, 0, item->ranges.size());
    const auto calls = writer.load(offsetof(seccomp_data, nr), search);
    next = writer.branch(BPF_JEQ, item->token, calls, next);
  }
  (void)writer.load(offsetof(seccomp_data, arch), next);
  return writer.finish();
}

}  // namespace husk::runtime
