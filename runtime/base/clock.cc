#include "base/clock.h"

#include <time.h>

#include <chrono>
#include <limits>

#include "base/format.h"
#include "base/text.h"

namespace husk {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t read_clock(clockid_t id) {
  timespec now{};
  require(::clock_gettime(id, &now) == 0, "clock_gettime failed");
  return now.tv_sec * kSecond + now.tv_nsec;
}

Error bad_time(std::string_view text) {
  return Error{Kind::invalid, format_text("{} is not an RFC 3339 time", quote(text))};
}

Result<std::int64_t> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return bad_time(text);
  std::int64_t value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return bad_time(text);
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::int64_t now_unix_ns() { return read_clock(CLOCK_REALTIME); }
std::int64_t now_monotonic_ns() { return read_clock(CLOCK_MONOTONIC); }

CalendarTime calendar_time(std::int64_t unix_ns) {
  // No gmtime_r: glibc reads /etc/localtime on its first call.
  const std::chrono::sys_time<std::chrono::nanoseconds> when{std::chrono::nanoseconds{unix_ns}};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{when - day};
  return {.year = static_cast<int>(date.year()),
          .month = static_cast<unsigned>(date.month()),
          .day = static_cast<unsigned>(date.day()),
          .hour = static_cast<unsigned>(time.hours().count()),
          .minute = static_cast<unsigned>(time.minutes().count()),
          .second = static_cast<unsigned>(time.seconds().count()),
          .nanosecond = static_cast<unsigned>(time.subseconds().count())};
}

std::string rfc3339(std::int64_t unix_ns) {
  const auto time = calendar_time(unix_ns);
  return format_text("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", time.year, time.month, time.day, time.hour, time.minute, time.second,
                     time.nanosecond);
}

Result<std::int64_t> parse_rfc3339(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
      text[13] != ':' || text[16] != ':')
    return bad_time(text);
  const auto year = TRY(digits(text, 0, 4));
  const auto month = TRY(digits(text, 5, 2));
  const auto day = TRY(digits(text, 8, 2));
  const auto hour = TRY(digits(text, 11, 2));
  const auto minute = TRY(digits(text, 14, 2));
  const auto second = TRY(digits(text, 17, 2));
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad_time(text);
  std::size_t at = 19;
  std::int64_t fraction = 0;
  if (text[at] == '.') {
    std::int64_t scale = kSecond;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      scale /= 10;
      fraction += (text[at] - '0') * scale;
    }
  }
  std::int64_t offset = 0;
  const auto zone = text.substr(at);
  if (zone != "Z" && zone != "z") {
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return bad_time(text);
    offset = TRY(digits(zone, 1, 2)) * 3600;
    offset += TRY(digits(zone, 4, 2)) * 60;
    if (zone[0] == '-') offset = -offset;
  }
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const auto seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
  // Year 1 is Go's zero time and common in images; nanoseconds since 1970 do not reach it.
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kSecond - 1;
  if (seconds > kMost || seconds < -kMost)
    return Error{Kind::invalid, format_text("{} is not between the years 1678 and 2261", quote(text))};
  return seconds * kSecond + fraction;
}

}  // namespace husk
