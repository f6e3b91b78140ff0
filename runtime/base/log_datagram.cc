#include "base/log_datagram.h"

#include <syslog.h>

#include <array>

#include "base/clock.h"
#include "base/format.h"

namespace husk::log {
namespace {

int severity(Level level) {
  switch (level) {
    case Level::debug: return LOG_DEBUG;
    case Level::info: return LOG_INFO;
    case Level::warning: return LOG_WARNING;
    case Level::error: return LOG_ERR;
  }
  return LOG_ERR;
}

// A value of several lines goes with its length, 64 bits with the low byte first.
std::string journal_field(std::string_view name, std::string_view value) {
  if (value.find('\n') == std::string_view::npos) return format_text("{}={}\n", name, value);
  std::string field{name};
  field += '\n';
  for (unsigned shift = 0; shift < 64; shift += 8)
    field += static_cast<char>((static_cast<std::uint64_t>(value.size()) >> shift) & 0xffU);
  field += value;
  return field + '\n';
}

}  // namespace

std::string journal_entry(Level level, std::string_view program, std::string_view id, std::string_view message) {
  return journal_field("MESSAGE", message) + format_text("PRIORITY={}\n", severity(level)) +
         journal_field("SYSLOG_IDENTIFIER", program) + journal_field("ID", id);
}

std::string syslog_entry(Level level, std::string_view id, std::int64_t unix_ns, int pid, std::string_view message) {
  constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto time = calendar_time(unix_ns);
  return format_text("<{}>{} {:2} {:02}:{:02}:{:02} {}[{}]: {}", LOG_USER | severity(level), kMonths.at(time.month - 1), time.day, time.hour,
                     time.minute, time.second, id, pid, message);
}

}  // namespace husk::log
