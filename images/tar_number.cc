#include "images/tar_number.h"

#include <limits>

namespace husk::images {
namespace {

std::optional<std::int64_t> parse_base256(std::string_view field) {
  // Two's complement, big endian; the first bit marks the form and is not part of the number.
  const auto first = static_cast<unsigned char>(field.front());
  const bool negative = (first & 0x40U) != 0;
  const unsigned char fill = negative ? 0xff : 0x00;
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t at = 0; at < field.size(); ++at) {
    auto byte = static_cast<unsigned char>(field[at]);
    if (at == 0) byte = static_cast<unsigned char>(negative ? (byte | 0x80U) : (byte & 0x7fU));
    const bool beyond = field.size() - at > sizeof value;
    if (beyond && byte != fill) return std::nullopt;
    if (!beyond) value = (value << 8U) | byte;
  }
  const auto number = static_cast<std::int64_t>(value);
  if ((number < 0) != negative) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::int64_t> parse_tar_number(std::string_view field) {
  if (!field.empty() && (static_cast<unsigned char>(field.front()) & 0x80U) != 0) return parse_base256(field);
  while (!field.empty() && (field.front() == ' ' || field.front() == '\0')) field.remove_prefix(1);
  if (const auto end = field.find('\0'); end != std::string_view::npos) field = field.substr(0, end);
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  std::uint64_t value = 0;
  for (const char c : field) {
    if (c < '0' || c > '7') return std::nullopt;
    if (value > (std::numeric_limits<std::int64_t>::max() >> 3U)) return std::nullopt;
    value = value << 3U | static_cast<std::uint64_t>(c - '0');
  }
  return static_cast<std::int64_t>(value);
}

std::int64_t tar_checksum(std::string_view block) {
  std::int64_t sum = 0;
  for (std::size_t at = 0; at < block.size(); ++at) {
    const bool own = at >= kTarChecksum.at && at < kTarChecksum.at + kTarChecksum.size;
    sum += own ? ' ' : static_cast<unsigned char>(block[at]);
  }
  return sum;
}

}  // namespace husk::images
