#include "mount_table.h"

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "base/unescape.h"

namespace husk::runtime {
namespace {

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
    mounts.push_back({.id = id.value(), .parent = parent.value(), .point = unescape_octal(words[4]), .type = std::string{*(dash + 1)}});
  }
  return MountTable{std::move(mounts)};
}

Result<MountTable> read_mount_table(pid_t pid) {
  const auto text = TRY(read_file(format_text("/proc/{}/mountinfo", pid)));
  return parse_mount_table(text);
}

}  // namespace husk::runtime
