#include "base/text.h"

#include <sys/random.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/format.h"

namespace husk {
namespace {

template <class T>
Result<T> parse_number(std::string_view text, const char* type) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (code == std::errc::result_out_of_range)
    return Error{Kind::invalid, format_text("{} is out of range for {}", quote(text), type)};
  if (code != std::errc{} || stop != end || text.empty())
    return Error{Kind::invalid, format_text("{} is not a decimal {}", quote(text), type)};
  return value;
}

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

Result<std::uint32_t> parse_uint32(std::string_view text) {
  return parse_number<std::uint32_t>(text, "32-bit unsigned integer");
}
Result<std::uint64_t> parse_uint64(std::string_view text) {
  return parse_number<std::uint64_t>(text, "64-bit unsigned integer");
}
Result<std::int64_t> parse_int64(std::string_view text) {
  return parse_number<std::int64_t>(text, "64-bit integer");
}

// strtod, which the JSON parser brings along: from_chars for double has its own 24 KB.
Result<double> parse_real(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string::npos && text.front() != '+';
  char* end = nullptr;
  const double value = plain ? std::strtod(text.c_str(), &end) : 0;
  if (end == nullptr || *end != '\0' || !std::isfinite(value))
    return Error{Kind::invalid, format_text("{} is not a decimal number", quote(text))};
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (;;) {
    const auto end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (auto begin = text.find_first_not_of(kSpace); begin != std::string_view::npos; begin = text.find_first_not_of(kSpace, begin)) {
    const auto end = std::min(text.find_first_of(kSpace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const auto& part : parts) {
    if (&part != &parts.front()) text += separator;
    text += part;
  }
  return text;
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string to_lower(std::string_view text) {
  std::string lower{text};
  for (auto& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string quote(std::string_view text) {
  constexpr std::size_t kShown = 256;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHexDigits[byte >> 4U];
      out += kHexDigits[byte & 15U];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += text.size() > kShown ? "…\"" : "\"";
  return out;
}

std::string to_hex(const unsigned char* bytes, std::size_t count) {
  std::string hex;
  hex.reserve(count * 2);
  for (std::size_t i = 0; i < count; ++i) {
    hex += kHexDigits[bytes[i] >> 4U];
    hex += kHexDigits[bytes[i] & 15U];
  }
  return hex;
}

std::string random_hex(std::size_t count) {
  std::vector<unsigned char> bytes(count);
  std::size_t have = 0;
  while (have < count) {
    const auto got = ::getrandom(bytes.data() + have, count - have, 0);
    require(got >= 0, "getrandom failed");  // only EINTR below 256 bytes, never with a filled pool
    have += static_cast<std::size_t>(got);
  }
  return to_hex(bytes.data(), count);
}

}  // namespace husk
