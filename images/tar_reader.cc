#include "images/tar_reader.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/format.h"
#include "base/text.h"
#include "images/pax.h"
#include "images/tar_number.h"

namespace husk::images {
namespace {

std::string_view field_of(std::string_view block, TarField field) { return block.substr(field.at, field.size); }

std::string_view text_of(std::string_view block, TarField field) {
  const auto text = field_of(block, field);
  return text.substr(0, text.find('\0'));
}

// Only POSIX archives have a prefix; GNU's ("ustar  ") keeps times there, V7 nothing.
std::string full_name(std::string_view block) {
  using namespace std::string_view_literals;
  std::string name{text_of(block, kTarName)};
  if (field_of(block, kTarMagic).substr(0, 6) != "ustar\0"sv) return name;
  auto prefix_field = kTarPrefix;
  if (block.substr(508, 4) == "tar\0"sv) prefix_field.size = 131;  // star keeps times behind it
  const auto prefix = text_of(block, prefix_field);
  if (prefix.empty()) return name;
  return std::string{prefix} + "/" + name;
}

std::optional<TarType> type_of(char flag) {
  switch (flag) {
    case '\0':
    case '0':
    case '7': return TarType::file;  // '7': contiguous
    case '1': return TarType::hard_link;
    case '2': return TarType::symlink;
    case '3': return TarType::char_device;
    case '4': return TarType::block_device;
    case '5': return TarType::directory;
    case '6': return TarType::fifo;
    default: return std::nullopt;
  }
}

std::string unknown_type(char flag) {
  if (flag == 'S') return "sparse files are not supported";
  if (flag == 'M') return "multi-volume archives are not supported";
  if (flag == 'D') return "GNU dump directories are not supported";
  return format_text("unknown entry type {}", quote(std::string(1, flag)));
}

bool is_zero(std::string_view block) { return block.find_first_not_of('\0') == std::string_view::npos; }

bool has_extension_type(char flag) { return flag == 'x' || flag == 'X' || flag == 'g' || flag == 'L' || flag == 'K'; }

}  // namespace

Error TarReader::bad(std::string what) const {
  return Error{Kind::invalid, format_text("tar entry at byte {}: {}", header_offset_, what)};
}

Status TarReader::push(std::string_view bytes) {
  while (!bytes.empty()) {
    std::uint64_t taken = 0;
    switch (state_) {
      case State::end:
        offset_ += bytes.size();
        return ok();  // trailing data counts for the diffID only
      case State::header:
      case State::extension: {
        const auto want = state_ == State::header ? kTarBlock : data_left_;
        taken = std::min<std::uint64_t>(want - block_.size(), bytes.size());
        block_.append(bytes.substr(0, taken));
        offset_ += taken;
        if (block_.size() == want) TRY(state_ == State::header ? take_header() : take_extension());
        break;
      }
      case State::data:
        taken = std::min<std::uint64_t>(data_left_, bytes.size());
        TRY(handler_->data(bytes.substr(0, taken)));
        offset_ += taken;
        data_left_ -= taken;
        if (data_left_ == 0) TRY(end_data());
        break;
      case State::padding:
        taken = std::min<std::uint64_t>(padding_left_, bytes.size());
        offset_ += taken;
        padding_left_ -= taken;
        if (padding_left_ == 0) state_ = State::header;
        break;
    }
    bytes.remove_prefix(taken);
  }
  return ok();
}

void TarReader::skip_data() {
  offset_ += data_left_ + padding_left_;
  data_left_ = 0;
  padding_left_ = 0;
  (void)end_data();  // an index has no work at the end of an entry
}

Status TarReader::end_data() {
  state_ = padding_left_ > 0 ? State::padding : State::header;
  return handler_->end_of_entry();
}

Status TarReader::finish() {
  if (state_ == State::end) return ok();
  if (state_ == State::header && block_.empty() && !pending_extension_) return ok();
  return bad(format_text("the archive ends inside this entry, at byte {}", offset_))
      .hint("the layer is cut short");
}

Status TarReader::take_header() {
  const std::string block = std::move(block_);
  block_.clear();
  header_offset_ = offset_ - kTarBlock;
  if (is_zero(block)) {
    if (pending_extension_) return bad("an extended header is followed by the end of the archive");
    if (++zero_blocks_ == 2) state_ = State::end;
    return ok();
  }
  zero_blocks_ = 0;
  const auto sum = parse_tar_number(field_of(block, kTarChecksum));
  // Signed sums (old Sun tar) occur only with bytes above 127; POSIX says unsigned, so do all writers.
  if (!sum.has_value() || *sum != tar_checksum(block))
    return bad("header checksum does not match").hint("the file is damaged or is no tar archive");
  const auto size = parse_tar_number(field_of(block, kTarSize));
  if (!size.has_value() || *size < 0) return bad("bad size field");
  const char type = field_of(block, kTarType).front();
  if (!pending_extension_) entry_offset_ = header_offset_;
  if (has_extension_type(type)) return begin_extension(type, static_cast<std::uint64_t>(*size));
  block_ = block;
  auto begun = begin_entry(type, static_cast<std::uint64_t>(*size));
  block_.clear();
  local_.clear();
  long_name_.reset();
  long_link_.reset();
  pending_extension_ = false;
  return begun;
}

Status TarReader::begin_extension(char type, std::uint64_t size) {
  // All headers of one entry together: a long row of small ones would fill the memory as well.
  const auto before = pending_extension_ ? extension_bytes_ : 0;
  if (size > limits_.max_header_bytes || before + size > limits_.max_header_bytes)
    return bad(format_text("extended header of {} bytes; the limit is {}", before + size, limits_.max_header_bytes));
  extension_type_ = type;
  if (type != 'g') {
    pending_extension_ = true;
    extension_bytes_ = before + size;
  }
  data_left_ = size;
  padding_left_ = (kTarBlock - size % kTarBlock) % kTarBlock;
  state_ = State::extension;
  return size == 0 ? take_extension() : ok();
}

Status TarReader::take_extension() {
  const std::string text = std::move(block_);
  block_.clear();
  data_left_ = 0;
  state_ = padding_left_ > 0 ? State::padding : State::header;
  const std::string until_nul = text.substr(0, text.find('\0'));
  if (extension_type_ == 'L') long_name_ = until_nul;
  if (extension_type_ == 'K') long_link_ = until_nul;
  if (extension_type_ == 'L' || extension_type_ == 'K') return ok();
  auto records = parse_pax_records(text);
  if (!records.has_value()) return bad(records.error().what());
  if (extension_type_ == 'g') return ok();
  for (auto& [key, value] : records.value()) local_[key] = std::move(value);
  return ok();
}

Status TarReader::begin_entry(char flag, std::uint64_t size) {
  if (++entries_ > limits_.max_entries)
    return Error{Kind::exhausted, format_text("the layer has more than {} entries", limits_.max_entries)};
  const auto type = type_of(flag);
  if (!type.has_value()) return Error{Kind::unsupported, bad(unknown_type(flag)).what()};
  TarEntry entry{.name = long_name_.value_or(full_name(block_)), .type = *type};
  entry.link = long_link_.value_or(std::string{text_of(block_, kTarLink)});
  entry.offset = entry_offset_;
  struct Number {
    TarField field;
    std::string_view name;
    std::int64_t lowest;
    std::int64_t highest;
    std::int64_t value = 0;
  };
  constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kId = std::numeric_limits<std::uint32_t>::max() - 1LL;  // -1 means "no change" to chown
  const bool device = *type == TarType::char_device || *type == TarType::block_device;
  std::array<Number, 6> numbers{{{kTarMode, "mode", -kAny, kAny},
                                 {kTarUid, "uid", 0, local_.contains("uid") ? kAny : kId},
                                 {kTarGid, "gid", 0, local_.contains("gid") ? kAny : kId},
                                 {kTarMtime, "mtime", -kAny, kAny},
                                 {kTarDevMajor, "devmajor", 0, 0xfff},      // MKDEV of linux/kdev_t.h: 12 bits
                                 {kTarDevMinor, "devminor", 0, 0xfffff}}};  // and 20 bits
  for (auto& number : numbers) {
    if (!device && (number.name.starts_with("dev"))) continue;
    const auto value = parse_tar_number(field_of(block_, number.field));
    if (!value.has_value() || *value < number.lowest || *value > number.highest)
      return bad(format_text("bad {} field", number.name));
    number.value = *value;
  }
  entry.mode = static_cast<mode_t>(numbers[0].value & 07777);
  entry.uid = static_cast<std::uint32_t>(numbers[1].value);
  entry.gid = static_cast<std::uint32_t>(numbers[2].value);
  entry.mtime = numbers[3].value;
  entry.device_major = static_cast<std::uint32_t>(numbers[4].value);
  entry.device_minor = static_cast<std::uint32_t>(numbers[5].value);
  TRY(apply_records(local_, entry, size));
  return deliver(std::move(entry), size);
}

Status TarReader::deliver(TarEntry entry, std::uint64_t size) {
  if (entry.name.empty()) return bad("the entry has no name");
  if (entry.name.find('\0') != std::string::npos || entry.link.find('\0') != std::string::npos)
    return bad("a name holds a NUL byte");
  if (entry.name.size() > limits_.max_path_bytes || entry.link.size() > limits_.max_path_bytes)
    return bad(format_text("a name of more than {} bytes", limits_.max_path_bytes));
  // V7 has no directory type: a trailing slash says it.
  if (entry.type == TarType::file && entry.name.ends_with('/')) {
    if (size > 0) return bad("a directory with data");
    entry.type = TarType::directory;
  }
  // Links, devices and directories have no data, whatever their size field says (as in Go's reader).
  if (entry.type != TarType::file) size = 0;
  if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - 1024)
    return bad("bad size field");
  entry.size = size;
  TRY(handler_->entry(entry));
  data_left_ = size;
  padding_left_ = (kTarBlock - size % kTarBlock) % kTarBlock;
  state_ = State::data;
  return size == 0 ? end_data() : ok();
}

Status TarReader::apply_records(const PaxRecords& records, TarEntry& entry, std::uint64_t& size) {
  auto applied = apply_pax_records(records, limits_, entry, size);
  if (applied.has_value()) return ok();
  return Error{applied.error().kind(), bad(applied.error().what()).what()};
}

}  // namespace husk::images
