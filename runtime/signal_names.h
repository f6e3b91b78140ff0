// Signal names ↔ numbers: "TERM", "SIGTERM", "15", "SIGRTMIN+3".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::runtime {

Result<int> parse_signal(std::string_view text);

}  // namespace husk::runtime
