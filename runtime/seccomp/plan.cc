#include "seccomp/plan.h"

#include <errno.h>
#include <linux/seccomp.h>

#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "seccomp/calls.h"

namespace husk::runtime {
namespace {

struct Resolved {
  const Call* call = nullptr;
  const FilterRule* rule = nullptr;
  const std::string* name = nullptr;
};

// A rule for one number. `only`: the first argument it is for, of socketcall and ipc.
struct Entry {
  std::uint32_t number = 0;
  std::uint32_t order = 0;
  const Resolved* from = nullptr;
  std::optional<std::uint32_t> only;
};

std::vector<Resolved> resolve(const std::vector<FilterRule>& rules) {
  std::vector<Resolved> resolved;
  std::size_t count = 0;
  for (const auto& rule : rules) count += rule.names->size();
  resolved.reserve(count);
  for (const auto& rule : rules)
    for (const auto& name : *rule.names) {
      const auto* call = find_call(name);
      if (call == nullptr) continue;  // a profile may name calls of later kernels
      resolved.push_back({.call = call, .rule = &rule, .name = &name});
    }
  return resolved;
}

std::uint32_t number_of(const Architecture& architecture, std::int16_t call) {
  return architecture.first_call + static_cast<std::uint32_t>(call);
}

std::vector<Entry> entries_of(const Architecture& architecture, const std::vector<Resolved>& resolved) {
  const auto index = static_cast<std::size_t>(&architecture - kArchitectures.data());
  const auto* socketcall = find_call("socketcall");
  const auto* ipc = find_call("ipc");
  std::vector<Entry> entries;
  entries.reserve(resolved.size() + 32);
  std::uint32_t order = 0;
  for (const auto& item : resolved) {
    if (const auto call = item.call->numbers[index]; call != kNoCall)
      entries.push_back({.number = number_of(architecture, call), .order = order++, .from = &item, .only = {}});
    if (!architecture.multiplexed) continue;
    const auto inner = find_multiplexed(*item.name);
    if (!inner.has_value()) continue;
    const auto* outer = inner->socket ? socketcall : ipc;
    if (outer == nullptr || outer->numbers[index] == kNoCall) continue;
    entries.push_back({.number = number_of(architecture, outer->numbers[index]), .order = order++, .from = &item, .only = inner->number});
  }
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) { return a.number != b.number ? a.number < b.number : a.order < b.order; });
  return entries;
}

// The lower 32 bits where the machine has no more, as libseccomp does.
Condition fitted(Condition condition, bool wide) {
  if (!wide) condition.mask &= 0xffffffff;
  if (!wide || condition.op == Compare::masked_eq) condition.value &= condition.mask;
  return condition;
}
bool always_holds(const Condition& condition) { return condition.op == Compare::masked_eq && condition.mask == 0; }

Conditions conditions_for(const Entry& entry, const Conditions& given, bool wide) {
  Conditions conditions;
  // The call inside socketcall and ipc has its arguments in memory: what was said of the first one is lost.
  if (entry.only.has_value()) conditions.push_back(fitted({.index = 0, .value = *entry.only}, wide));
  for (const auto& item : given) {
    if (entry.only.has_value() && item.index == 0) continue;
    if (const auto condition = fitted(item, wide); !always_holds(condition)) conditions.push_back(condition);
  }
  return conditions;
}

class Planner {
 public:
  explicit Planner(const FilterInput& input) : input_{input}, resolved_{resolve(input.rules)} {}

  Result<FilterPlan> run() {
    for (const auto* architecture : input_.architectures) TRY(add(*architecture));
    for (auto& part : plan_.architectures) refuse_x32(part);
    return std::move(plan_);
  }

 private:
  using Entries = std::vector<Entry>;

  std::uint32_t intern(Outcome outcome) {
    const auto found = std::ranges::find(plan_.outcomes, outcome);
    if (found != plan_.outcomes.end()) return static_cast<std::uint32_t>(found - plan_.outcomes.begin());
    plan_.outcomes.push_back(std::move(outcome));
    return static_cast<std::uint32_t>(plan_.outcomes.size() - 1);
  }
  std::uint32_t plain(std::uint32_t action) {
    for (std::uint32_t i = 0; i < plan_.outcomes.size(); ++i)
      if (plan_.outcomes[i].checks.empty() && plan_.outcomes[i].otherwise == action) return i;
    return intern({.checks = {}, .otherwise = action});
  }

  // Rules of one call: the first one without conditions, else those with conditions, each at its place.
  Result<std::uint32_t> outcome_of(const Entry* first, const Entry* last, bool wide) {
    Outcome outcome{.checks = {}, .otherwise = input_.default_action, .wide = wide};
    std::optional<std::uint32_t> contradiction;
    for (const auto* entry = first; entry != last; ++entry) {
      const auto& rule = *entry->from->rule;
      if (rule.action == input_.default_action) continue;  // changes nothing
      if (rule.alternatives.empty() && !entry->only.has_value()) return plain(rule.action);
      static const std::vector<Conditions> kNone(1);
      for (const auto& given : rule.alternatives.empty() ? kNone : rule.alternatives) {
        auto conditions = conditions_for(*entry, given, wide);
        if (conditions.empty()) return plain(rule.action);
        const auto added = add_check(outcome.checks, {.conditions = std::move(conditions), .action = rule.action}, wide);
        if (added == Added::contradiction) contradiction = contradiction.value_or(static_cast<std::uint32_t>(entry - first));
      }
    }
    if (contradiction.has_value()) return contradicted(first[*contradiction]);
    return outcome.checks.empty() ? plain(outcome.otherwise) : intern(std::move(outcome));
  }

  static Error contradicted(const Entry& entry) {
    return Error{Kind::invalid, format_text("\"/linux/seccomp{}\": {} has an earlier rule with the same conditions and another action",
                                            entry.from->rule->place, quote(*entry.from->name))};
  }

  void set_from(ArchitecturePlan& part, std::uint32_t first, std::uint32_t outcome) {
    if (!part.ranges.empty() && part.ranges.back().first == first) part.ranges.pop_back();
    if (!part.ranges.empty() && part.ranges.back().outcome == outcome) return;
    part.ranges.push_back({.first = first, .outcome = outcome});
  }

  // x86_64 and x32 are one for the kernel: the bit in the number tells.
  ArchitecturePlan& part_of(const Architecture& architecture) {
    const auto found = std::ranges::find(plan_.architectures, architecture.token, &ArchitecturePlan::token);
    if (found != plan_.architectures.end()) return *found;
    auto& part = plan_.architectures.emplace_back(ArchitecturePlan{.token = architecture.token, .ranges = {}});
    part.ranges.reserve(256);
    return part;
  }

  Status add(const Architecture& architecture) {
    auto& part = part_of(architecture);
    if (part.ranges.empty()) set_from(part, 0, plain(is_x32(architecture) ? SECCOMP_RET_KILL_THREAD : input_.default_action));
    if (is_x32(architecture)) set_from(part, kX32Bit, plain(input_.default_action));
    const auto entries = entries_of(architecture, resolved_);
    for (std::size_t i = 0; i < entries.size();) {
      auto end = i + 1;
      while (end < entries.size() && entries[end].number == entries[i].number) ++end;
      const auto outcome = TRY(outcome_of(&entries[i], entries.data() + end, architecture.wide));
      set_from(part, entries[i].number, outcome);
      set_from(part, entries[i].number + 1, plain(input_.default_action));
      i = end;
    }
    if (!input_.newer_are_unknown || entries.empty() || is_x32(architecture)) return ok();
    set_from(part, entries.back().number + 1, plain(SECCOMP_RET_ERRNO | ENOSYS));
    set_from(part, kX32Bit, plain(input_.default_action));
    return ok();
  }

  // A number with the x32 bit where only x86_64 is listed is a foreign architecture's, but for -1, which tracers
  // use to skip a call. Source: man 2 seccomp; libseccomp's gen_bpf.c.
  void refuse_x32(ArchitecturePlan& part) {
    if (part.token != AUDIT_ARCH_X86_64 || std::ranges::any_of(input_.architectures, [](const auto* item) { return is_x32(*item); })) return;
    set_from(part, kX32Bit, plain(SECCOMP_RET_KILL_THREAD));
    set_from(part, ~0U, plain(input_.default_action));
  }

  const FilterInput& input_;
  std::vector<Resolved> resolved_;
  FilterPlan plan_;
};

}  // namespace

Result<FilterPlan> plan_filter(const FilterInput& input) { return Planner{input}.run(); }

}  // namespace husk::runtime
