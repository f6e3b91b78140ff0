// state.json: a record that is accepted can be written, is accepted again, and is written the same.
#include "fuzz/fuzzer.h"
#include "runtime/record.h"

HUSK_FUZZ(text) {
  const auto record = husk::runtime::parse_record(text);
  if (!record.has_value()) return;
  husk::require(record.value().init.pid >= 0, "a pid below 0 would name a group, or every process");
  const auto written = husk::runtime::write_record(record.value());
  const auto again = husk::runtime::parse_record(written);
  husk::require(again.has_value(), "what was written is refused");
  husk::require(husk::runtime::write_record(again.value()) == written, "writing twice differs");
  husk::require(!husk::runtime::printed_state(record.value(), husk::runtime::Phase::running).dump().empty(), "a state without text");
}
