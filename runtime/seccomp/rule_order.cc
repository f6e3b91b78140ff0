// Which of several rules with conditions is asked first: those of libseccomp's tree, written as one list.
// It compares word by word (a 64-bit argument is two or three nodes), highest argument first, equalities before
// "less" before "greater", and so on: see before(). Source: libseccomp's db.c.
#include <algorithm>

#include "seccomp/plan.h"

namespace husk::runtime {
namespace {

enum class Test : std::uint8_t { equal, masked, greater, at_least };

struct Node {
  std::uint32_t place = 0;  // argument and word
  Compare op = Compare::eq;
  Test test = Test::equal;
  std::uint32_t value = 0;
  std::uint32_t mask = 0;

  bool same(const Node& other) const {
    return place == other.place && test == other.test && value == other.value && mask == other.mask;
  }
};

int rank(Compare op) {
  switch (op) {
    case Compare::le:
    case Compare::lt: return 2;
    case Compare::ge:
    case Compare::gt: return 1;
    default: return 3;
  }
}

// `a` is asked before `b`.
bool before(const Node& a, const Node& b) {
  if (a.place != b.place) return a.place > b.place;
  if (rank(a.op) != rank(b.op)) return rank(a.op) > rank(b.op);
  return rank(b.op) == 2 ? a.value < b.value : a.value > b.value;  // the narrower one of two overlapping ranges
}

Test test_of(Compare op) {
  switch (op) {
    case Compare::masked_eq: return Test::masked;
    case Compare::gt:
    case Compare::le: return Test::greater;
    case Compare::ge:
    case Compare::lt: return Test::at_least;
    default: return Test::equal;
  }
}

std::vector<Node> nodes_of(const Conditions& conditions, bool wide) {
  std::vector<Node> nodes;
  for (const auto& is : conditions) {
    const auto test = test_of(is.op);
    const auto node = [&](bool high, Test word_test) {
      const auto shift = high ? 32U : 0U;
      nodes.push_back({.place = is.index * 2 + (high ? 1 : 0),
                       .op = is.op,
                       .test = word_test,
                       .value = static_cast<std::uint32_t>(is.value >> shift),
                       .mask = static_cast<std::uint32_t>(is.mask >> shift)});
    };
    const bool order = test == Test::greater || test == Test::at_least;
    if (wide && order) node(true, Test::greater);
    if (wide) node(true, order ? Test::equal : test);
    node(false, test);
  }
  return nodes;
}

bool begins_with(const Conditions& longer, const Conditions& shorter) {
  return shorter.size() <= longer.size() && std::equal(shorter.begin(), shorter.end(), longer.begin());
}

// The place of `added` among checks [first, last), which agree with it in all nodes before `depth`.
std::size_t place_of(const std::vector<std::vector<Node>>& checks, std::size_t first, std::size_t last, std::size_t depth,
                     const std::vector<Node>& added) {
  while (first < last && depth < added.size()) {
    if (checks[first].size() <= depth) {
      ++first;
      continue;
    }
    const auto& node = checks[first][depth];
    auto end = first + 1;
    while (end < last && checks[end].size() > depth && checks[end][depth].same(node)) ++end;
    if (node.same(added[depth])) return place_of(checks, first, end, depth + 1, added);
    if (before(added[depth], node)) return first;
    first = end;
  }
  return last;
}

}  // namespace

Added add_check(std::vector<Check>& checks, Check check, bool wide) {
  for (const auto& known : checks) {
    if (!begins_with(check.conditions, known.conditions)) continue;
    const bool contradicts = known.conditions.size() == check.conditions.size() && known.action != check.action;
    return contradicts ? Added::contradiction : Added::redundant;
  }
  const auto narrower = [&](const Check& known) { return begins_with(known.conditions, check.conditions); };
  if (std::ranges::any_of(checks, [&](const Check& known) { return narrower(known) && known.action != check.action; }))
    return Added::contradiction;
  std::erase_if(checks, narrower);
  const auto added = nodes_of(check.conditions, wide);
  std::vector<std::vector<Node>> nodes;
  for (const auto& known : checks) nodes.push_back(nodes_of(known.conditions, wide));
  checks.insert(checks.begin() + static_cast<std::ptrdiff_t>(place_of(nodes, 0, checks.size(), 0, added)), std::move(check));
  return Added::yes;
}

}  // namespace husk::runtime
