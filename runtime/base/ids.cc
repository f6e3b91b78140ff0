#include "base/ids.h"

#include <limits.h>

#include "base/format.h"
#include "base/text.h"

namespace husk {
namespace {

constexpr bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Result<std::string> parse_id(std::string_view text, std::string_view what) {
  if (text.empty()) return Error{Kind::invalid, format_text("{} id is empty", what)};
  if (text.size() > NAME_MAX)
    return Error{Kind::invalid, format_text("{} id is longer than {} bytes", what, NAME_MAX)};
  for (const char c : text)
    if (!is_alnum(c) && c != '+' && c != '.' && c != '-')
      return Error{Kind::invalid, format_text("invalid {} id format: {}", what, quote(text))}.hint(
          "use letters, digits and _ + . - only");
  if (!is_alnum(text.front()))
    return Error{Kind::invalid, format_text("invalid {} id format: {}", what, quote(text))}.hint(
        "begin with a letter, a digit or _");
  return std::string{text};
}

}  // namespace

Result<ContainerId> ContainerId::parse(std::string_view text) {
  return ContainerId{TRY(parse_id(text, "container"))};
}

Result<PodId> PodId::parse(std::string_view text) { return PodId{TRY(parse_id(text, "pod"))}; }

}  // namespace husk
