// Which pod or container somebody means: an id, a name, or a unique beginning of an id. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::pod {

struct Candidate {
  std::string id;
  std::string name;
  bool running = false;
};

// Index into `candidates`. The whole id comes before the name, the name before a beginning of the
// id. Among several of one name the only running one is meant.
// Errors: not_found; invalid when it is ambiguous, with the ids. `what`: "pod", "container".
Result<std::size_t> find_candidate(std::span<const Candidate> candidates, std::string_view text, std::string_view what);

}  // namespace husk::pod
