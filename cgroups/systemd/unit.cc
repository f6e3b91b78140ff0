#include "cgroups/systemd/unit.h"

#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/path.h"

namespace husk::cgroups::systemd {
namespace {

constexpr std::size_t kLongestUnit = 255;  // man 5 systemd.unit
constexpr std::string_view kSliceSuffix = ".slice";
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.-\\@";

Error refuse(std::string_view path, std::string_view why) {
  return Error{Kind::invalid, format_text("\"/linux/cgroupsPath\": {} {}", quote(path), why)}.hint(
      "the systemd driver needs \"slice:prefix:name\" such as \"system.slice:husk:web-1\", or no path at all; for a path "
      "in the cgroup file system use --cgroup-manager cgroupfs");
}

// Ids may hold what unit names may not. Source: man 1 systemd-escape.
std::string escape(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kLetters.find(c) != std::string_view::npos) name += c;
    else name += "\\x" + to_hex(&byte, 1);
  }
  return name;
}

}  // namespace

std::string_view name_of(Manager manager) { return manager == Manager::user ? "user" : "system"; }

Result<std::string> expand_slice(std::string_view slice) {
  const auto wrong = [&slice](std::string_view why) {
    return Error{Kind::invalid, format_text("{} is no name of a slice: {}", quote(slice), why)}.hint(
        "write it like \"kubepods-burstable.slice\", which lies in kubepods.slice");
  };
  if (!slice.ends_with(kSliceSuffix) || slice.size() > kLongestUnit) return wrong("it does not end in \".slice\"");
  const auto stem = slice.substr(0, slice.size() - kSliceSuffix.size());
  if (stem == "-") return std::string{};
  if (stem.find_first_not_of(kLetters) != std::string_view::npos || stem.find('@') != std::string_view::npos)
    return wrong("it holds a character that unit names may not");
  std::string path;
  for (std::size_t dash = stem.find('-');; dash = stem.find('-', dash + 1)) {
    const auto part = stem.substr(0, dash);
    if (part.empty() || part.ends_with('-')) return wrong("a part of it is empty");
    path += format_text("/{}{}", part, kSliceSuffix);
    if (dash == std::string_view::npos) return path;
  }
}

Result<ScopePlan> parse_scope_path(std::string_view cgroups_path, std::string_view id, Manager manager) {
  SystemdPath place{.slice = "", .prefix = "husk", .name = std::string{id}};
  if (!cgroups_path.empty()) {
    auto given = find_systemd_path(cgroups_path);
    if (!given.has_value()) return refuse(cgroups_path, "is not of the form slice:prefix:name");
    place = std::move(*given);
  }
  if (place.name.empty()) return refuse(cgroups_path, "has no name");
  if (place.name.ends_with(kSliceSuffix)) return refuse(cgroups_path, "names a slice, which holds no processes of its own");
  if (place.slice.empty()) place.slice = manager == Manager::user ? "user.slice" : "system.slice";
  TRY(expand_slice(place.slice).during("\"/linux/cgroupsPath\""));
  ScopePlan plan{.unit = escape(place.prefix.empty() ? place.name : format_text("{}-{}", place.prefix, place.name)),
                 .slice = place.slice,
                 .manager = manager,
                 .properties = {}};
  plan.unit += ".scope";
  if (plan.unit.size() > kLongestUnit) return refuse(cgroups_path, "gives a unit name of more than 255 bytes");
  return plan;
}

void put(std::vector<Property>& properties, Property property) {
  const auto same = std::ranges::find(properties, property.name, &Property::name);
  if (same != properties.end()) *same = std::move(property);
  else properties.push_back(std::move(property));
}

}  // namespace husk::cgroups::systemd
