#include "cgroups/v1/hierarchy.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"
#include "base/unescape.h"

namespace husk::cgroups::v1 {
namespace {

constexpr std::array<std::string_view, 15> kControllers = {
    "cpu",     "cpuacct", "cpuset",   "memory",     "devices", "freezer", "blkio",       "pids",
    "hugetlb", "net_cls", "net_prio", "perf_event", "rdma",    "misc",    "name=systemd"};

std::vector<std::string> controllers_of(std::string_view type, std::string_view options) {
  if (type == "cgroup2") return {std::string{kUnified}};
  std::vector<std::string> found;
  if (type != "cgroup") return found;
  for (const auto option : split(options, ','))
    if (std::find(kControllers.begin(), kControllers.end(), option) != kControllers.end()) found.emplace_back(option);
  return found;
}

}  // namespace

std::vector<Hierarchy> parse_hierarchies(std::string_view mountinfo) {
  constexpr std::string_view kUsualPlace = "/sys/fs/cgroup/";
  std::vector<Hierarchy> all;
  for (const auto line : split(mountinfo, '\n')) {
    const auto separator = line.find(" - cgroup");
    if (separator == std::string_view::npos) continue;
    const auto before = split(line.substr(0, separator), ' ');
    const auto after = split(line.substr(separator + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    Hierarchy next{.mount = unescape_octal(before[4]), .controllers = controllers_of(after[0], after[2])};
    if (next.controllers.empty()) continue;
    const auto known = std::find_if(all.begin(), all.end(), [&next](const Hierarchy& one) {
      return one.controllers == next.controllers;
    });
    if (known == all.end())
      all.push_back(std::move(next));
    else if (!known->mount.starts_with(kUsualPlace) && next.mount.starts_with(kUsualPlace))
      *known = std::move(next);
  }
  return all;
}

Result<std::vector<Hierarchy>> read_hierarchies() {
  const auto text = TRY(read_file("/proc/self/mountinfo"));
  auto all = parse_hierarchies(text);
  if (all.empty())
    return Error{Kind::unsupported, "no cgroup hierarchy is mounted"}.hint(
        "mount cgroup2 at /sys/fs/cgroup, or use --cgroup-manager disabled");
  return all;
}

std::string place_of(const std::vector<Hierarchy>& all, std::string_view path, std::string_view file) {
  const auto slash = file.find('/');
  const auto* hierarchy = find_hierarchy(all, file.substr(0, slash));
  if (hierarchy == nullptr) return "";
  std::string place = hierarchy->mount;
  return place.append(path).append(file.substr(slash));
}

const Hierarchy* find_hierarchy(const std::vector<Hierarchy>& all, std::string_view controller) {
  for (const auto& one : all)
    if (std::find(one.controllers.begin(), one.controllers.end(), controller) != one.controllers.end()) return &one;
  return nullptr;
}

}  // namespace husk::cgroups::v1
