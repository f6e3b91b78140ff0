#include "oci-spec/digest.h"

#include <algorithm>

#include "base/format.h"
#include "base/text.h"

namespace husk::oci {
namespace {

constexpr bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
constexpr bool is_separator(char c) { return c == '+' || c == '.' || c == '_' || c == '-'; }
constexpr bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
constexpr bool is_encoded(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '=' || c == '_' || c == '-';
}

// algorithm-component (separator algorithm-component)*
bool is_algorithm(std::string_view text) {
  bool after_separator = true;
  for (const char c : text) {
    if (is_separator(c) && after_separator) return false;
    if (!is_separator(c) && !is_lower_or_digit(c)) return false;
    after_separator = is_separator(c);
  }
  return !after_separator;
}

Error bad_digest(std::string_view text, std::string_view why) {
  return Error{Kind::invalid, format_text("digest {}: {}", quote(text), why)};
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return bad_digest(text, "must be \"algorithm:hex\"");
  const auto algorithm = text.substr(0, colon);
  const auto encoded = text.substr(colon + 1);
  if (!is_algorithm(algorithm) || encoded.empty() || !std::ranges::all_of(encoded, is_encoded))
    return bad_digest(text, "against the grammar of image-spec descriptor.md#digests");
  if (algorithm != "sha256" && algorithm != "sha512")
    return Error{Kind::unsupported, format_text("digest {}: only sha256 and sha512 are known", quote(text))};
  const std::size_t digits = algorithm == "sha256" ? 64 : 128;
  if (encoded.size() != digits || !std::ranges::all_of(encoded, is_hex))
    return bad_digest(text, format_text("must have {} lower-case hex digits after the colon", digits));
  return Digest{std::string{text}};
}

}  // namespace husk::oci
