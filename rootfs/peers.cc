#include "rootfs/peers.h"

#include <algorithm>

#include "base/text.h"

namespace husk::rootfs {
namespace {

constexpr std::size_t kFixedFields = 6;  // id, parent, device, root, mount point, options

std::optional<PeerGroup> tagged(std::string_view field, std::string_view tag) {
  if (!field.starts_with(tag)) return std::nullopt;
  const auto number = parse_uint64(field.substr(tag.size()));
  return number.has_value() ? std::optional{number.value()} : std::nullopt;
}

// The optional fields end at "-".
template <class Visit>
void each_optional_field(const std::vector<std::string_view>& fields, Visit visit) {
  for (std::size_t i = kFixedFields; i < fields.size() && fields[i] != "-"; ++i) visit(fields[i]);
}

std::vector<std::string_view> fields_of(std::string_view mountinfo, std::uint64_t mount_id) {
  for (const auto line : split(mountinfo, '\n')) {
    auto fields = split(line, ' ');
    const auto id = parse_uint64(fields.front());
    if (id.has_value() && id.value() == mount_id) return fields;
  }
  return {};
}

}  // namespace

std::vector<PeerGroup> peer_groups(std::string_view mountinfo) {
  std::vector<PeerGroup> groups;
  for (const auto line : split(mountinfo, '\n'))
    each_optional_field(split(line, ' '), [&](std::string_view field) {
      for (const std::string_view tag : {"shared:", "master:"})
        if (const auto group = tagged(field, tag)) groups.push_back(*group);
    });
  std::ranges::sort(groups);
  const auto doubled = std::ranges::unique(groups);
  groups.erase(doubled.begin(), doubled.end());
  return groups;
}

std::optional<MountIds> find_mount_ids(std::string_view mountinfo, std::uint64_t mount_id) {
  const auto fields = fields_of(mountinfo, mount_id);
  if (fields.size() < kFixedFields) return std::nullopt;
  const auto parent = parse_uint64(fields[1]);
  return parent.has_value() ? std::optional{MountIds{.id = mount_id, .parent = parent.value()}} : std::nullopt;
}

std::optional<PeerGroup> shared_group(std::string_view mountinfo, std::uint64_t mount_id) {
  std::optional<PeerGroup> group;
  each_optional_field(fields_of(mountinfo, mount_id), [&](std::string_view field) {
    if (const auto found = tagged(field, "shared:")) group = found;
  });
  return group;
}

}  // namespace husk::rootfs
