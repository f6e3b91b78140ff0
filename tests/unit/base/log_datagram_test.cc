// Entries for the journal and for syslog.
#include "base/clock.h"
#include "base/log_datagram.h"
#include "harness/harness.h"

using namespace husk;

TEST_CASE("the journal's native form: fields of one line, and one of several with its length") {
  CHECK(log::journal_entry(log::Level::error, "husk", "web", "no such file") ==
        "MESSAGE=no such file\nPRIORITY=3\nSYSLOG_IDENTIFIER=husk\nID=web\n");
  const std::string length{"\x03\0\0\0\0\0\0\0", 8};
  CHECK(log::journal_entry(log::Level::warning, "husk", "web", "a\nb") ==
        "MESSAGE\n" + length + "a\nb\nPRIORITY=4\nSYSLOG_IDENTIFIER=husk\nID=web\n");
}

TEST_CASE("RFC 3164: priority, time of 15 characters, tag and text") {
  constexpr std::int64_t kTime = 1'793'839'805'000'000'000;  // 2026-11-05T00:50:05Z
  CHECK(rfc3339(kTime).starts_with("2026-11-05T"));
  CHECK(log::syslog_entry(log::Level::error, "web", kTime, 7, "gone") == "<11>Nov  5 00:50:05 web[7]: gone");
  CHECK(log::syslog_entry(log::Level::debug, "web", kTime, 7, "gone").ends_with(" web[7]: gone"));
  CHECK(log::syslog_entry(log::Level::debug, "web", kTime, 7, "gone").size() == std::string{"<15>Nov  5 00:00:00 web[7]: gone"}.size());
}
