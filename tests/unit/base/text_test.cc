#include "base/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/unescape.h"
#include "harness/harness.h"

#include <cerrno>

namespace husk {
namespace {

TEST_CASE("numbers fill the whole text and fit their type (CVE-2026-30892, CVE-2024-40635)") {
  CHECK(parse_uint32("0").value() == 0);
  CHECK(parse_uint32("4294967295").value() == 4294967295U);
  CHECK(parse_int64("-9223372036854775808").value() == std::numeric_limits<std::int64_t>::min());
  CHECK(parse_uint64("18446744073709551615").value() == 18446744073709551615ULL);
  for (const auto* text : {"", " 1", "1 ", "+1", "-1", "1:", ":1", "0x1", "4294967296", "99999999999999999999", "1e3", "abc", "١"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_uint32(text).has_value());
  }
  CHECK_FALSE(parse_int64("9223372036854775808").has_value());
  CHECK_FALSE(parse_int64("--1").has_value());
  CHECK(parse_real("-2.5e3").value() == -2500.0);
  CHECK(parse_real("30").value() == 30.0);
  for (const auto* text : {"", " 1", "1 ", "+1", "1.5s", "0x1p3", "inf", "nan", "1e999", "1e", "e1", "-", "1.2.3", "1,5"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_real(text).has_value());
  }
}

TEST_CASE("words are what stands between white space, however much of it") {
  CHECK(words_of("").empty());
  CHECK(words_of(" \t\n ").empty());
  CHECK(words_of("one") == std::vector<std::string_view>{"one"});
  CHECK(words_of("  cpu\tio \n pids\n") == std::vector<std::string_view>{"cpu", "io", "pids"});
}

TEST_CASE("split keeps empty parts, join is its inverse") {
  CHECK(split("", ',').size() == 1);
  CHECK(split(",a,", ',') == std::vector<std::string_view>{"", "a", ""});
  CHECK(join({"", "a", ""}, ",") == ",a,");
  CHECK(join({"a", "b"}, ", ") == "a, b");
  CHECK(join({}, ",").empty());
}

TEST_CASE("trim takes white space off both ends, to_lower knows ASCII only") {
  CHECK(trim(" \t a b\r\n") == "a b");
  CHECK(trim(" \n").empty());
  CHECK(to_lower("ABCÄz09") == "abcÄz09");
}

TEST_CASE("quote shows control characters, escapes its own signs and cuts long texts") {
  CHECK(quote("a\"b\\c\n\x1b\x7f") == "\"a\\\"b\\\\c\\x0a\\x1b\\x7f\"");
  CHECK(quote(std::string(300, 'x')) == "\"" + std::string(256, 'x') + "…\"");
  CHECK(quote(std::string_view{"a\0b", 3}) == "\"a\\x00b\"");
}

TEST_CASE("random ids are hex, of the asked length, and differ") {
  const auto id = random_hex(32);
  CHECK(id.size() == 64);
  CHECK(id.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(id != random_hex(32));
}

TEST_CASE("ids are safe as one path component") {
  for (const auto* text : {"a", "web-1", "_x", "A.b+c", "0"}) CHECK(ContainerId::parse(text).has_value());
  for (const std::string& text : std::vector<std::string>{"", ".", "..", ".hidden", "-rf", "+x", "a/b", "../x", "a b", "a\n", "ä",
                                                          std::string("a\0b", 3), std::string(256, 'a')}) {
    CAPTURE(text);
    CHECK_FALSE(ContainerId::parse(text).has_value());
    CHECK_FALSE(PodId::parse(text).has_value());
  }
  CHECK(ContainerId::parse(std::string(255, 'a')).has_value());
}

TEST_CASE("an error reads: steps, call, the kernel's reason, hint; the hint nearest the cause wins") {
  auto error = Error{Kind::not_found, "openat(\"/x\")", ENOENT}.hint("make it").during("read file").hint("second").during("create web-1");
  CHECK(error.to_string() == "create web-1: read file: openat(\"/x\"): No such file or directory (hint: make it)");
  CHECK(error.kind() == Kind::not_found);
  CHECK(error.os_errno() == ENOENT);
  const auto renamed = std::move(error).as(Kind::internal);
  CHECK(renamed.kind() == Kind::internal);
  CHECK(Error{Kind::invalid, "text"}.to_string() == "text");
}

TEST_CASE("errno values become kinds that a caller can branch on") {
  struct Row {
    int err;
    Kind kind;
  };
  for (const auto& row : {Row{ENOENT, Kind::not_found}, Row{EEXIST, Kind::exists}, Row{EPERM, Kind::denied}, Row{EROFS, Kind::denied},
                          Row{ENOSYS, Kind::unsupported}, Row{EBUSY, Kind::busy}, Row{ENOSPC, Kind::exhausted},
                          Row{ECONNREFUSED, Kind::unavailable}, Row{EIO, Kind::internal}}) {
    CAPTURE(row.err);
    CHECK(kind_of_errno(row.err) == row.kind);
    CHECK_FALSE(kind_name(row.kind).empty());
  }
}

TEST_CASE("RFC 3339: times are written in UTC with nine digits and read with any offset") {
  CHECK(rfc3339(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(rfc3339(1795253400123456789) == "2026-11-21T09:30:00.123456789Z");
  CHECK(rfc3339(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(parse_rfc3339("2026-11-21T09:30:00.123456789Z").value() == 1795253400123456789);
  CHECK(parse_rfc3339("2026-11-21t10:30:00+01:00").value() == 1795253400000000000);
  CHECK(parse_rfc3339("2026-11-21T00:00:00.5-09:30").value() == 1795253400500000000);
  CHECK(parse_rfc3339("2024-02-29T00:00:00Z").has_value());
  CHECK(!parse_rfc3339("2026-02-29T00:00:00Z").has_value());
  CHECK(parse_rfc3339("1969-12-31T23:59:59.9999999999999Z").value() == -1);
}

TEST_CASE("RFC 3339: what is no time, or too far off for nanoseconds, is an error") {
  for (const auto* text : {"", "2026-11-21", "2026-11-21T09:30:00", "2026-11-21 09:30:00Z", "2026-13-21T09:30:00Z", "2026-11-21T24:30:00Z",
                           "2026-11-21T09:30:00Zx", "2026-11-21T09:30:00+1:00", "2026-11-21T09:30:00.5", "x026-11-21T09:30:00Z",
                           "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text).has_value());
  }
}

TEST_CASE("clocks: the monotonic one never goes back, the wall clock is in this century") {
  const auto first = now_monotonic_ns();
  CHECK(now_monotonic_ns() >= first);
  CHECK(now_unix_ns() > 1'600'000'000'000'000'000);
}

TEST_CASE("JSON strings escape what JSON requires and replace what is no UTF-8 (RFC 3629 section 4)") {
  CHECK(log::json_string("a\"\\\n\t\x01") == "\"a\\\"\\\\\\n\\t\\u0001\"");
  CHECK(log::json_string("é€😀") == "\"é€😀\"");
  for (const auto* text : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    CAPTURE(text);
    CHECK(log::json_string(text).find("\\ufffd") != std::string::npos);
  }
}

}  // namespace

TEST_CASE("man 5 proc, mountinfo: space, tab, newline and backslash are octal; what is no whole escape stays") {
  CHECK(unescape_octal("/a\\040b\\011\\012\\134c") == "/a b\t\n\\c");
  CHECK(unescape_octal("/a\\04") == "/a\\04");
  CHECK(unescape_octal("\\048") == "\\048");
  CHECK(unescape_octal("\\") == "\\");
}

}  // namespace husk
