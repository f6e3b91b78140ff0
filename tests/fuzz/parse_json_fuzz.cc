// A JSON text that is accepted dumps to a text that parses to the same dump, compact and pretty.
#include "fuzz/fuzzer.h"
#include "oci-spec/json.h"

HUSK_FUZZ(text) {
  const auto json = husk::oci::parse_json(text);
  if (!json.has_value()) return;
  const auto dump = json.value().dump();
  const auto again = husk::oci::parse_json(dump);
  husk::require(again.has_value(), "our own dump is refused");
  husk::require(again.value().dump() == dump, "dumping twice differs");
  const auto pretty = husk::oci::parse_json(json.value().dump(2));
  husk::require(pretty.has_value() && pretty.value().dump() == dump, "the pretty dump differs");
}
