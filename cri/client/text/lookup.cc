#include "cri/client/text/lookup.h"

#include <functional>
#include <vector>

#include "base/format.h"
#include "base/text.h"
#include "cri/client/text/table.h"

namespace husk::pod {
namespace {

using Matches = std::vector<std::size_t>;

Matches matching(std::span<const Candidate> candidates, const std::function<bool(const Candidate&)>& test) {
  Matches found;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (test(candidates[i])) found.push_back(i);
  return found;
}

}  // namespace

Result<std::size_t> find_candidate(std::span<const Candidate> candidates, std::string_view text, std::string_view what) {
  if (text.empty()) return Error{Kind::invalid, format_text("the name of a {} is empty", what)};
  auto found = matching(candidates, [&](const auto& each) { return each.id == text; });
  if (found.empty()) found = matching(candidates, [&](const auto& each) { return each.name == text; });
  if (found.empty()) found = matching(candidates, [&](const auto& each) { return each.id.starts_with(text); });
  if (found.empty()) return Error{Kind::not_found, format_text("no {} {}", what, quote(text))}.hint("see husk-pod ps -a");
  if (found.size() > 1) {
    Matches running;
    for (const auto i : found)
      if (candidates[i].running) running.push_back(i);
    if (running.size() == 1) found = running;
  }
  if (found.size() == 1) return found.front();
  std::vector<std::string> ids;
  for (const auto i : found) ids.push_back(short_id(candidates[i].id));
  return Error{Kind::invalid, format_text("{} {} is ambiguous: {}", what, quote(text), join(ids, ", "))}.hint("use an id");
}

}  // namespace husk::pod
