#include "mount_table.h"

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

bool is_octal(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '7'; });
}

// "\040" → " ". Source: mangle_path() in fs/seq_file.c.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 4 > text.size() || !is_octal(text.substr(i + 1, 3))) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

Error malformed(std::string_view line) {
  return Error{Kind::internal, format_text("mountinfo has the line {}", quote(line))};
}

}  // namespace

const Mounted* MountTable::find(std::uint64_t id) const {
  const auto found = std::ranges::find(mounts_, id, &Mounted::id);
  return found == mounts_.end() ? nullptr : &*found;
}

Result<MountTable> parse_mount_table(std::string_view mountinfo) {
  std::vector<Mounted> mounts;
  for (const auto line : split(mountinfo, '\n')) {
    if (line.empty()) continue;
    const auto words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 7 || dash == words.end() || dash + 1 == words.end()) return malformed(line);
    const auto id = parse_uint64(words[0]);
    const auto parent = parse_uint64(words[1]);
    if (!id.has_value() || !parent.has_value()) return malformed(line);
    mounts.push_back({.id = id.value(), .parent = parent.value(), .point = unescape(words[4]), .type = std::string{*(dash + 1)}});
  }
  return MountTable{std::move(mounts)};
}

Result<MountTable> read_mount_table(pid_t pid) {
  const auto text = TRY(read_file(format_text("/proc/{}/mountinfo", pid)));
  return parse_mount_table(text);
}

}  // namespace husk::runtime
