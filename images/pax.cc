#include "images/pax.h"

#include <limits>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::string_view kSchily = "SCHILY.xattr.";
constexpr std::string_view kLibarchive = "LIBARCHIVE.xattr.";

Error bad_record(std::string what) { return Error{Kind::invalid, "PAX header: " + std::move(what)}; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// libarchive writes attribute names with %XX for bytes that are not plain.
std::string decode_percent(std::string_view text) {
  std::string name;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size() && hex_digit(text[at + 1]) >= 0 && hex_digit(text[at + 2]) >= 0) {
      name.push_back(static_cast<char>(hex_digit(text[at + 1]) * 16 + hex_digit(text[at + 2])));
      at += 2;
    } else {
      name.push_back(text[at]);
    }
  }
  return name;
}

Result<std::uint32_t> parse_id(std::string_view key, std::string_view text) {
  const auto id = parse_uint32(text);
  // 4294967295 is "no change" to chown(2): refused, not written as something else (CVE-2024-40635).
  if (!id.has_value() || id.value() == std::numeric_limits<std::uint32_t>::max())
    return bad_record(format_text("{} is {}", key, quote(text)));
  return id.value();
}

Status add_xattr(std::string name, std::string value, const UnpackLimits& limits, TarEntry& entry) {
  std::size_t total = name.size() + value.size();
  for (const auto& [other, bytes] : entry.xattrs) total += other.size() + bytes.size();
  if (name.empty() || name.size() > 255 || name.find('\0') != std::string::npos)
    return bad_record(format_text("bad extended attribute name {}", quote(name)));
  if (total > limits.max_xattr_bytes)
    return bad_record(format_text("more than {} bytes of extended attributes", limits.max_xattr_bytes));
  for (auto& [other, bytes] : entry.xattrs) {
    if (other != name) continue;
    bytes = std::move(value);
    return ok();
  }
  if (entry.xattrs.size() >= limits.max_xattrs)
    return bad_record(format_text("more than {} extended attributes", limits.max_xattrs));
  entry.xattrs.emplace_back(std::move(name), std::move(value));
  return ok();
}

Status apply_xattr(std::string_view key, const std::string& value, const UnpackLimits& limits, TarEntry& entry) {
  if (key.starts_with(kSchily)) return add_xattr(std::string{key.substr(kSchily.size())}, value, limits, entry);
  const auto decoded = decode_base64(value);
  if (!decoded.has_value()) return bad_record(format_text("{} is not base64", quote(key)));
  return add_xattr(decode_percent(key.substr(kLibarchive.size())), decoded.value(), limits, entry);
}

Status apply_record(std::string_view key, const std::string& value, const UnpackLimits& limits, TarEntry& entry,
                    std::uint64_t& size) {
  if (key.starts_with("GNU.sparse.")) return Error{Kind::unsupported, "sparse files are not supported"};
  if (value.empty() && !key.starts_with(kSchily)) return ok();  // an empty value deletes the record (POSIX)
  if (key == "path") {
    entry.name = value;
  } else if (key == "linkpath") {
    entry.link = value;
  } else if (key == "size") {
    const auto number = parse_uint64(value);
    if (!number.has_value()) return bad_record(format_text("size is {}", quote(value)));
    size = number.value();
  } else if (key == "uid") {
    entry.uid = TRY(parse_id(key, value));
  } else if (key == "gid") {
    entry.gid = TRY(parse_id(key, value));
  } else if (key == "mtime") {
    const auto time = TRY(parse_pax_time(value));
    entry.mtime = time.seconds;
    entry.mtime_ns = time.nanoseconds;
  } else if (key.starts_with(kSchily) || key.starts_with(kLibarchive)) {
    return apply_xattr(key, value, limits, entry);
  }
  return ok();
}

}  // namespace

Result<PaxRecords> parse_pax_records(std::string_view text) {
  PaxRecords records;
  while (!text.empty()) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos || space > 10) return bad_record("a record has no length");
    const auto length = parse_uint32(text.substr(0, space));
    if (!length.has_value() || length.value() <= space + 1 || length.value() > text.size())
      return bad_record(format_text("a record has the length {}", quote(text.substr(0, space))));
    auto record = text.substr(space + 1, length.value() - space - 1);
    if (record.empty() || record.back() != '\n') return bad_record("a record does not end in a newline");
    record.remove_suffix(1);
    const auto equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad_record("a record has no key");
    records[std::string{record.substr(0, equals)}] = std::string{record.substr(equals + 1)};
    text.remove_prefix(length.value());
  }
  return records;
}

Status apply_pax_records(const PaxRecords& records, const UnpackLimits& limits, TarEntry& entry, std::uint64_t& size) {
  for (const auto& [key, value] : records) TRY(apply_record(key, value, limits, entry, size));
  return ok();
}

Result<TarTime> parse_pax_time(std::string_view text) {
  const auto wrong = bad_record(format_text("mtime is {}", quote(text)));
  const auto dot = text.find('.');
  auto whole = text.substr(0, dot);
  const bool negative = whole.starts_with('-');
  if (negative) whole.remove_prefix(1);
  const auto seconds = parse_int64(whole.empty() && dot != std::string_view::npos ? "0" : whole);
  if (!seconds.has_value() || seconds.value() < 0 || seconds.value() > (1LL << 60U)) return wrong;
  TarTime time{.seconds = seconds.value()};
  std::uint32_t scale = 100'000'000;
  const auto fraction = dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1);
  for (const char c : fraction) {
    if (c < '0' || c > '9') return wrong;
    time.nanoseconds += static_cast<std::uint32_t>(c - '0') * scale;
    scale /= 10;  // becomes 0: digits beyond nanoseconds are dropped
  }
  if (!negative) return time;
  time.seconds = -time.seconds;
  if (time.nanoseconds == 0) return time;
  time.seconds -= 1;
  time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  return time;
}

Result<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    std::uint32_t six = 0;
    if (c >= 'A' && c <= 'Z') six = static_cast<std::uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z') six = static_cast<std::uint32_t>(c - 'a' + 26);
    else if (c >= '0' && c <= '9') six = static_cast<std::uint32_t>(c - '0' + 52);
    else if (c == '+') six = 62;
    else if (c == '/') six = 63;
    else return Error{Kind::invalid, "not base64"};
    bits = (bits << 6U | six) & 0xffffffU;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> static_cast<unsigned>(count) & 0xffU));
    }
  }
  if (count >= 6) return Error{Kind::invalid, "not base64"};
  return out;
}

}  // namespace husk::images
