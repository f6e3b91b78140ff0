#include "images/tar_writer.h"

#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "images/tar_number.h"

namespace husk::images {
namespace {

constexpr std::int64_t kMaxOctal7 = 07777777;          // uid, gid: 8 bytes with a NUL
constexpr std::int64_t kMaxOctal11 = 077777777777;     // size, mtime: 12 bytes with a NUL

void put_text(std::string& block, TarField field, std::string_view text) {
  block.replace(field.at, std::min(field.size, text.size()), text.substr(0, field.size));
}

void put_number(std::string& block, TarField field, std::uint64_t value) {
  std::string digits(field.size - 1, '0');
  for (auto at = digits.size(); at > 0 && value > 0; --at, value >>= 3U) digits[at - 1] = static_cast<char>('0' + (value & 7U));
  put_text(block, field, digits);
}

char flag_of(TarType type) {
  switch (type) {
    case TarType::file: return '0';
    case TarType::hard_link: return '1';
    case TarType::symlink: return '2';
    case TarType::char_device: return '3';
    case TarType::block_device: return '4';
    case TarType::directory: return '5';
    case TarType::fifo: return '6';
  }
  return '0';
}

std::string pax_time(const TarEntry& entry) {
  if (entry.mtime_ns == 0) return format_text("{}", entry.mtime);
  // -1.5 is kept as {-2, 500000000}.
  const bool negative = entry.mtime < 0;
  const auto whole = negative ? -(entry.mtime + 1) : entry.mtime;
  const auto nanoseconds = negative ? 1'000'000'000U - entry.mtime_ns : entry.mtime_ns;
  auto text = format_text("{}{}.{:09}", negative ? "-" : "", whole, nanoseconds);
  while (text.ends_with('0')) text.pop_back();
  return text;
}

// What ustar cannot say, sorted by key.
std::string pax_records(const TarEntry& entry, const std::string& name) {
  std::vector<std::pair<std::string, std::string>> records;
  for (const auto& [key, value] : entry.xattrs) records.emplace_back("SCHILY.xattr." + key, value);
  if (entry.gid > kMaxOctal7) records.emplace_back("gid", format_text("{}", entry.gid));
  if (entry.uid > kMaxOctal7) records.emplace_back("uid", format_text("{}", entry.uid));
  if (entry.link.size() > kTarLink.size) records.emplace_back("linkpath", entry.link);
  if (entry.mtime < 0 || entry.mtime > kMaxOctal11 || entry.mtime_ns != 0) records.emplace_back("mtime", pax_time(entry));
  if (name.size() > kTarName.size) records.emplace_back("path", name);
  if (entry.size > kMaxOctal11) records.emplace_back("size", format_text("{}", entry.size));
  std::sort(records.begin(), records.end());
  std::string text;
  for (const auto& [key, value] : records) text += pax_record(key, value);
  return text;
}

std::uint64_t in_octal(std::int64_t value, std::int64_t highest) {
  return value < 0 || value > highest ? 0 : static_cast<std::uint64_t>(value);
}

}  // namespace

std::string pax_record(std::string_view key, std::string_view value) {
  const auto rest = key.size() + value.size() + 3;  // space, '=', newline
  auto total = rest + 1;
  while (rest + std::to_string(total).size() != total) total = rest + std::to_string(total).size();
  return format_text("{} {}=", total, key) + std::string{value} + "\n";
}

Status TarWriter::header(const TarEntry& entry, const std::string& name, char type, std::uint64_t size) {
  using namespace std::string_literals;
  std::string block(kTarBlock, '\0');
  put_text(block, kTarName, name);
  put_number(block, kTarMode, entry.mode & 07777U);
  put_number(block, kTarUid, in_octal(entry.uid, kMaxOctal7));
  put_number(block, kTarGid, in_octal(entry.gid, kMaxOctal7));
  put_number(block, kTarSize, in_octal(static_cast<std::int64_t>(size), kMaxOctal11));
  put_number(block, kTarMtime, in_octal(entry.mtime, kMaxOctal11));
  block[kTarType.at] = type;
  put_text(block, kTarLink, entry.link);
  put_text(block, kTarMagic, "ustar\0"s + "00");
  put_number(block, kTarDevMajor, entry.device_major);
  put_number(block, kTarDevMinor, entry.device_minor);
  // "%06o\0 " as all writers have it.
  const auto sum = static_cast<std::uint64_t>(tar_checksum(block));
  put_number(block, {kTarChecksum.at, 7}, sum);
  block[kTarChecksum.at + 7] = ' ';
  return out_(block);
}

Status TarWriter::begin(const TarEntry& entry) {
  ++entries_;
  auto name = entry.name;
  if (entry.type == TarType::directory && !name.ends_with('/')) name += '/';
  const auto records = pax_records(entry, name);
  if (!records.empty()) {
    const auto slash = entry.name.rfind('/');
    const auto base = entry.name.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 80);
    TRY(header({.mode = 0644}, "PaxHeaders.0/" + base, 'x', records.size()));
    TRY(out_(records));
    size_ = records.size();
    TRY(pad());
  }
  size_ = entry.type == TarType::file ? entry.size : 0;
  left_ = size_;
  return header(entry, name, flag_of(entry.type), size_);
}

Status TarWriter::data(std::string_view bytes) {
  require(bytes.size() <= left_, "a tar entry gets no more data than its header says");
  left_ -= bytes.size();
  return out_(bytes);
}

Status TarWriter::pad() {
  const auto rest = (kTarBlock - size_ % kTarBlock) % kTarBlock;
  return rest == 0 ? ok() : out_(std::string(rest, '\0'));
}

Status TarWriter::end() {
  require(left_ == 0, "a tar entry gets all the data its header says");
  return pad();
}

Status TarWriter::finish() { return out_(std::string(2 * kTarBlock, '\0')); }

}  // namespace husk::images
