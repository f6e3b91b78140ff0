// format_text("{}", x): std::string from a format string checked at compile time.
// Includes only fmt's light core; the heavy half lives in format.cc, once, so that a touched .cc
// file recompiles fast. Debian has no static libfmt: format.cc takes it header-only.
#pragma once

#include <string>

#include <fmt/core.h>

namespace husk {

std::string format_arguments(fmt::string_view text, fmt::format_args args);

template <class... Args>
std::string format_text(fmt::format_string<Args...> text, Args&&... args) {
  return format_arguments(text, fmt::make_format_args(args...));
}

}  // namespace husk
