// Log entries for the two collectors of a host, which take one datagram each.
// Source: systemd's "Native Journal Protocol"; RFC 3164 as glibc's syslog(3) writes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"

namespace husk::log {

inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";
inline constexpr const char* kSyslogSocket = "/dev/log";

// Fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER (the program) and ID. `id` has no control characters.
std::string journal_entry(Level level, std::string_view program, std::string_view id, std::string_view message);
// "<11>Nov 21 09:30:00 ID[7]: message"; the time in UTC.
std::string syslog_entry(Level level, std::string_view id, std::int64_t unix_ns, int pid, std::string_view message);

}  // namespace husk::log
