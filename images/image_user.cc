#include "images/image_user.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/format.h"
#include "base/text.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxUserFile = 4U << 20U;

struct PasswdEntry {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string home;
};
struct GroupEntry {
  std::string name;
  std::uint32_t gid = 0;
  std::vector<std::string> members;
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<std::uint32_t> parse_id(std::string_view text) {
  const auto id = parse_uint32(text);
  if (!id.has_value() || id.value() == std::numeric_limits<std::uint32_t>::max())
    return Error{Kind::invalid, format_text("{} is no user or group id", quote(text))}.hint("ids go from 0 to 4294967294");
  return id.value();
}

// An image without the file has no entries.
Result<std::string> read_user_file(const RootDir& root, const std::string& path) {
  auto text = root.read_file(path, kMaxUserFile);
  if (!text.has_value() && text.error().kind() == Kind::not_found) return std::string{};
  return text;
}

// Lines that do not parse are skipped, as the C library does.
std::vector<PasswdEntry> parse_passwd(std::string_view text) {
  std::vector<PasswdEntry> entries;
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 6) continue;
    const auto uid = parse_id(fields[2]);
    const auto gid = parse_id(fields[3]);
    if (!uid.has_value() || !gid.has_value() || fields[0].empty()) continue;
    entries.push_back({std::string{fields[0]}, uid.value(), gid.value(), std::string{fields[5]}});
  }
  return entries;
}

std::vector<GroupEntry> parse_group(std::string_view text) {
  std::vector<GroupEntry> entries;
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 3) continue;
    const auto gid = parse_id(fields[2]);
    if (!gid.has_value() || fields[0].empty()) continue;
    GroupEntry entry{.name = std::string{fields[0]}, .gid = gid.value()};
    if (fields.size() > 3)
      for (const auto member : split(fields[3], ','))
        if (!member.empty()) entry.members.emplace_back(member);
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::uint32_t> resolve_group(const std::vector<GroupEntry>& groups, const std::string& text) {
  if (is_number(text)) return parse_id(text);
  for (const auto& group : groups)
    if (group.name == text) return group.gid;
  return Error{Kind::not_found, format_text("the image has no group {}", quote(text))}.hint(
      "give a numeric id, or a name from the image's /etc/group");
}

}  // namespace

Result<ImageUser> resolve_user(const RootDir& root, const std::string& user) {
  const auto passwd_text = TRY(read_user_file(root, "/etc/passwd").during("user of the image"));
  const auto group_text = TRY(read_user_file(root, "/etc/group").during("user of the image"));
  const auto passwd = parse_passwd(passwd_text);
  const auto groups = parse_group(group_text);
  const auto colon = user.find(':');
  auto name = user.substr(0, colon);
  if (name.empty()) name = "0";
  ImageUser found;
  std::string login;
  const auto matches = [&](const PasswdEntry& entry) { return is_number(name) ? entry.uid == found.uid : entry.name == name; };
  if (is_number(name)) found.uid = TRY(parse_id(name));
  const auto entry = std::find_if(passwd.begin(), passwd.end(), matches);
  if (entry != passwd.end()) {
    found.uid = entry->uid;
    found.gid = entry->gid;
    if (entry->home.starts_with('/')) found.home = entry->home;
    login = entry->name;
  } else if (!is_number(name)) {
    return Error{Kind::not_found, format_text("the image has no user {}", quote(name))}.hint(
        "give a numeric id, or a name from the image's /etc/passwd");
  }
  if (colon != std::string::npos && colon + 1 < user.size()) {
    found.gid = TRY(resolve_group(groups, user.substr(colon + 1)));
    return found;  // an explicit group stands alone, as with docker and containerd
  }
  for (const auto& group : groups) {
    const bool member = std::find(group.members.begin(), group.members.end(), login) != group.members.end();
    if (!login.empty() && member && group.gid != found.gid) found.additional_gids.push_back(group.gid);
  }
  return found;
}

}  // namespace husk::images
