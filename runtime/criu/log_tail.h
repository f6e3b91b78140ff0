// What CRIU's log says about a failure.
#pragma once

#include <string>
#include <string_view>

namespace husk::criu {

// The last lines that report errors, oldest first, joined by "; "; "" when there is none. Pure.
std::string error_lines(std::string_view log);
// What to do about such lines, where CRIU does not say it itself; "" else. Pure.
std::string_view find_remedy(std::string_view lines);

}  // namespace husk::criu
