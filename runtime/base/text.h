// Small, strict text functions: numbers that must fill the whole string, splitting, joining.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace husk {

// Whole string, digits only (a sign only where T is signed), in range. "1:", "+1", "" are invalid.
// Source: CVE-2026-30892 (crun read "1" as 0), CVE-2024-40635 (UID wrapped to 0).
Result<std::uint32_t> parse_uint32(std::string_view text);
Result<std::uint64_t> parse_uint64(std::string_view text);
Result<std::int64_t> parse_int64(std::string_view text);
// "1.5", "-2e3": decimal, finite; no blanks, no "inf", no hexadecimal.
Result<double> parse_real(const std::string& text);

std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty parts
std::vector<std::string_view> words_of(std::string_view text);  // what stands between spaces, tabs and newlines
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  // spaces, tabs, newlines at both ends
std::string to_lower(std::string_view text);

// Double-quoted, control characters as \xNN: for user text in errors. At most 256 bytes are shown.
std::string quote(std::string_view text);

// Lower-case hex of `count` random bytes (getrandom). 32 bytes make a CRI id of 64 characters.
std::string random_hex(std::size_t count);
std::string to_hex(const unsigned char* bytes, std::size_t count);

}  // namespace husk
