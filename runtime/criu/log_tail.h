// What CRIU's log says about a failure.
#pragma once

#include <string>
#include <string_view>

namespace husk::criu {

// The last lines that report errors, oldest first, joined by "; "; "" when there is none. Pure.
std::string error_lines(std::string_view log);

}  // namespace husk::criu
