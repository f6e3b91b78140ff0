// --regex of kill and delete: all containers whose id matches.
#pragma once

#include <functional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "cli/verb.h"

namespace husk::cli {

inline constexpr Option kRegexOption{'r', "regex", "", "ID is a POSIX extended regular expression; all that match are meant"};

Result<std::string> pattern_of(const Parsed& parsed);  // the first argument
// Calls `act` for each container whose id `pattern` matches anywhere. One that fails does not stop the others;
// the first failure is the result.
Status for_each_match(const Globals& globals, const std::string& pattern, const std::function<Status(const ContainerId&)>& act);

}  // namespace husk::cli
