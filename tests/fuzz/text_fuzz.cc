// The small parsers of base and the sysctl names: whole text or nothing.
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "fuzz/fuzzer.h"
#include "oci-spec/json.h"
#include "oci-spec/sysctl.h"

using namespace husk;

HUSK_FUZZ(text) {
  if (const auto time = parse_rfc3339(text); time.has_value())
    require(parse_rfc3339(rfc3339(time.value())).value() == time.value(), "a time changed on its way");
  if (const auto number = parse_int64(text); number.has_value())
    require(parse_int64(std::to_string(number.value())).value() == number.value(), "a number changed on its way");
  if (const auto id = ContainerId::parse(text); id.has_value())
    require(text.find('/') == std::string_view::npos && text != "." && text != ".." && !text.empty(), "an unsafe id");
  if (const auto path = oci::sysctl_path(text); path.has_value()) {
    for (const auto part : split(path.value(), '/')) require(!part.empty() && part != "..", "an unsafe sysctl path");
    require(oci::sysctl_path(path.value()).has_value(), "a sysctl path is no sysctl name");
  }
  require(oci::parse_json(log::json_string(text)).has_value(), "a JSON string that is none");
  require(quote(text).find('\n') == std::string::npos, "quote lets a newline through");
}
