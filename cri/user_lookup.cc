#include "cri/user_lookup.h"

#include <algorithm>
#include <limits>

#include "base/format.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr std::size_t kMaxUserFile = 16U << 20U;

struct PasswdEntry {
  std::string name;
  std::uint32_t uid;
  std::uint32_t gid;
  std::string home;
};

// 4294967295 is (uid_t)-1, "no change" to the kernel.
bool is_id(const Result<std::uint32_t>& number) {
  return number.has_value() && number.value() != std::numeric_limits<std::uint32_t>::max();
}

// Lines that are no entry (comments, wrong numbers, NIS "+") are passed over, as getpwent does.
template <class Wanted>
std::optional<PasswdEntry> find_passwd(std::string_view text, Wanted wanted) {
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 6) continue;
    const auto uid = parse_uint32(fields[2]);
    const auto gid = parse_uint32(fields[3]);
    if (!is_id(uid) || !is_id(gid)) continue;
    PasswdEntry entry{.name = std::string{fields[0]}, .uid = uid.value(), .gid = gid.value(), .home = std::string{fields[5]}};
    if (wanted(entry)) return entry;
  }
  return std::nullopt;
}

template <class Visit>
void each_group(std::string_view text, Visit visit) {
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 4) continue;
    const auto gid = parse_uint32(fields[2]);
    if (is_id(gid)) visit(fields[0], gid.value(), fields[3]);
  }
}

// A number is an id, whatever the image's files call by it: else "1000", which kubelet takes for a user that
// is not root, could be the name of one that is (CVE-2026-46680).
bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Error bad_number(std::string_view text, std::string_view source) {
  return Error{Kind::invalid, format_text("{}: {} is not between 0 and 4294967294", source, text)};
}

Result<std::uint32_t> find_group(std::string_view wanted, const UserFiles& files) {
  if (is_number(wanted)) {
    const auto number = parse_uint32(wanted);
    return is_id(number) ? number : bad_number(wanted, "group");
  }
  std::optional<std::uint32_t> found;
  each_group(files.group, [&](std::string_view name, std::uint32_t gid, std::string_view) {
    if (name == wanted && !found.has_value()) found = gid;
  });
  if (found.has_value()) return *found;
  return Error{Kind::invalid, format_text("group {} is neither a number nor a name in the image's /etc/group", quote(wanted))};
}

struct Chosen {
  std::uint32_t uid = 0;
  std::optional<PasswdEntry> entry;
};

Chosen by_uid(std::uint32_t uid, const UserFiles& files) {
  return {.uid = uid, .entry = find_passwd(files.passwd, [&](const PasswdEntry& entry) { return entry.uid == uid; })};
}

Result<Chosen> by_name(std::string_view name, const UserFiles& files, const char* source) {
  if (is_number(name)) {
    const auto number = parse_uint32(name);
    if (!is_id(number)) return bad_number(name, source);
    return by_uid(number.value(), files);
  }
  auto entry = find_passwd(files.passwd, [&](const PasswdEntry& item) { return item.name == name; });
  if (entry.has_value()) {
    const auto uid = entry->uid;
    return Chosen{.uid = uid, .entry = std::move(entry)};
  }
  return Error{Kind::invalid,
               format_text("{}: user {} is neither a number nor a name in the image's /etc/passwd", source, quote(name))};
}

void add_group(std::vector<std::uint32_t>& groups, std::uint32_t gid) {
  if (std::ranges::find(groups, gid) == groups.end()) groups.push_back(gid);
}

}  // namespace

Result<UserFiles> read_user_files(const RootDir& rootfs) {
  UserFiles files;
  for (auto [path, into] : {std::pair{"/etc/passwd", &files.passwd}, std::pair{"/etc/group", &files.group}}) {
    auto text = rootfs.read_file(path, kMaxUserFile);
    if (!text.has_value() && text.error().kind() == Kind::not_found) continue;
    *into = TRY(std::move(text).during("read the image's users"));
  }
  return files;
}

Result<ResolvedUser> find_user(const ContainerConfig& config, const std::string& image_user, const UserFiles& files) {
  if (config.run_as_user.has_value() && !config.run_as_username.empty())
    return Error{Kind::invalid, "run_as_user and run_as_username are both given"};
  if (config.run_as_group.has_value() && !config.run_as_user.has_value() && config.run_as_username.empty())
    return Error{Kind::invalid, "run_as_group is given without run_as_user or run_as_username"};
  Chosen chosen;
  std::optional<std::uint32_t> gid;
  if (config.run_as_user.has_value()) {
    chosen = by_uid(*config.run_as_user, files);
  } else if (!config.run_as_username.empty()) {
    chosen = TRY(by_name(config.run_as_username, files, "run_as_username"));
  } else {
    const auto colon = image_user.find(':');
    const auto name = image_user.substr(0, colon);
    if (name.empty()) {
      chosen = by_uid(0, files);
    } else {
      chosen = TRY(by_name(name, files, "USER of the image"));
    }
    if (colon != std::string::npos && colon + 1 < image_user.size())
      gid = TRY(find_group(image_user.substr(colon + 1), files));
  }
  if (config.run_as_group.has_value()) gid = config.run_as_group;
  if (!gid.has_value()) gid = chosen.entry.has_value() ? chosen.entry->gid : 0;

  ResolvedUser user;
  user.ids.uid = chosen.uid;
  user.ids.gid = *gid;
  user.ids.groups.push_back(*gid);
  for (const auto group : config.supplemental_groups) add_group(user.ids.groups, group);
  if (config.groups_policy == GroupsPolicy::merge && chosen.entry.has_value()) {
    each_group(files.group, [&](std::string_view, std::uint32_t group, std::string_view members) {
      const auto names = split(members, ',');
      if (std::ranges::find(names, chosen.entry->name) != names.end()) add_group(user.ids.groups, group);
    });
  }
  if (chosen.entry.has_value() && chosen.entry->home.starts_with('/')) user.home = chosen.entry->home;
  return user;
}

}  // namespace husk::cri
