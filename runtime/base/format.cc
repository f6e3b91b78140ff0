#define FMT_STATIC_THOUSANDS_SEPARATOR ','  // no std::locale: it alone links 500 KB into husk
#define FMT_HEADER_ONLY  // before any fmt header: this file is the one that carries fmt's code
#include "base/format.h"

#include <fmt/format.h>

namespace husk {

std::string format_arguments(fmt::string_view text, fmt::format_args args) {
  return fmt::vformat(text, args);
}

}  // namespace husk
