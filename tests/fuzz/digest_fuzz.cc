// An accepted digest is its own text, splits at the colon, and is safe as two path components.
#include <string>

#include "fuzz/fuzzer.h"
#include "oci-spec/digest.h"

HUSK_FUZZ(text) {
  const auto digest = husk::oci::Digest::parse(text);
  if (!digest.has_value()) return;
  const auto& value = digest.value();
  husk::require(value.text() == text, "the text changed");
  husk::require(std::string{value.algorithm()} + ":" + std::string{value.hex()} == text, "the parts do not join to the text");
  husk::require(value.hex().find_first_not_of("0123456789abcdef") == std::string_view::npos, "not hex");
}
