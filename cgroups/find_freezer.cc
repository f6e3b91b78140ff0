#include "cgroups/find_freezer.h"

#include "cgroups/v1/hierarchy.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups {

std::optional<std::string> find_freezer(const std::string& path, Version version) {
  if (path.empty()) return std::nullopt;
  if (version == Version::v2) return v2::kMount + path;
  const auto hierarchies = v1::read_hierarchies();
  if (!hierarchies.has_value()) return std::nullopt;
  const auto* freezer = v1::find_hierarchy(hierarchies.value(), "freezer");
  return freezer == nullptr ? std::nullopt : std::optional{freezer->mount + path};
}

}  // namespace husk::cgroups
