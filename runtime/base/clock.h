// Wall and monotonic time, and RFC 3339 texts.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace husk {

std::int64_t now_unix_ns();       // CLOCK_REALTIME
std::int64_t now_monotonic_ns();  // CLOCK_MONOTONIC

// Of the calendar, in UTC.
struct CalendarTime {
  int year = 1970;
  unsigned month = 1;  // 1 to 12
  unsigned day = 1;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
  unsigned nanosecond = 0;
};
CalendarTime calendar_time(std::int64_t unix_ns);

// "2026-11-21T09:30:00.123456789Z"; always UTC, always nine digits.
std::string rfc3339(std::int64_t unix_ns);
Result<std::int64_t> parse_rfc3339(std::string_view text);  // any number of fraction digits, any offset

}  // namespace husk
