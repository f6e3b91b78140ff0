// What goes between husk and husk-scope: one packet each way, words with a NUL after each. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/systemd/unit.h"

namespace husk::cgroups::systemd {

enum class Verb : std::uint8_t { start, stop, set, attach };

struct Request {
  Verb verb = Verb::start;
  std::string unit;
  std::vector<Property> properties;  // start, set; attach: Subcgroup and PIDs, arguments of the call
};
std::string write_request(const Request& request);
Result<Request> parse_request(std::string_view text);  // invalid

// The outcome: success, or the error with its kind, text and hint.
std::string write_reply(const Status& outcome);
Status parse_reply(std::string_view text);

inline constexpr std::size_t kLongestRequest = 180'000;  // a packet fits into the default buffer of a unix socket

}  // namespace husk::cgroups::systemd
