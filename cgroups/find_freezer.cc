#include "cgroups/find_freezer.h"

#include "base/format.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "cgroups/v1/hierarchy.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups {
namespace {

struct FrozenParent {
  std::string directory;
  const char* remedy;
};

std::optional<FrozenParent> find_above(const std::string& mount, const std::string& path, const char* file, const char* remedy) {
  for (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0; slash = path.rfind('/', slash - 1)) {
    auto directory = mount + path.substr(0, slash);
    if (trim(read_text(format_text("{}/{}", directory, file))) == "1") return FrozenParent{std::move(directory), remedy};
  }
  return std::nullopt;
}

std::optional<FrozenParent> find_above_v1(const std::string& mount, const std::string& path) {
  return find_above(mount, path, "freezer.self_freezing", "write THAWED to its freezer.state");
}

// Source: cgroup-v2.rst, cgroup.freeze; cgroup-v1/freezer-subsystem.rst, freezer.self_freezing.
std::optional<FrozenParent> find_frozen_parent(const std::string& path, Version version) {
  constexpr const char* kThawV2 = "write 0 to its cgroup.freeze";
  if (version == Version::v2) return find_above(v2::kMount, path, "cgroup.freeze", kThawV2);
  const auto hierarchies = v1::read_hierarchies();
  if (!hierarchies.has_value()) return std::nullopt;
  std::optional<FrozenParent> found;
  if (const auto* freezer = v1::find_hierarchy(hierarchies.value(), "freezer"))
    found = find_above_v1(freezer->mount, path);
  const auto* unified = v1::find_hierarchy(hierarchies.value(), v1::kUnified);
  if (!found.has_value() && unified != nullptr) found = find_above(unified->mount, path, "cgroup.freeze", kThawV2);
  return found;
}

Error frozen_error(const std::optional<FrozenParent>& parent, const std::string& path) {
  if (!parent.has_value()) return Error{Kind::wrong_state, format_text("a cgroup above {} is frozen", quote(path))}.hint("thaw it first");
  return Error{Kind::wrong_state, format_text("cgroup {}, above the container's, is frozen", quote(parent->directory))}.hint(
      format_text("thaw it first: {}", parent->remedy));
}

}  // namespace

Status check_parents_thawed(const std::string& path, Version version) {
  const auto parent = find_frozen_parent(path, version);
  return parent.has_value() ? Status{frozen_error(parent, path)} : ok();
}

Status check_kill_arrives(const std::string& path, Version version) {
  const auto directory = version == Version::v1 ? find_freezer(path, version) : std::nullopt;
  if (!directory.has_value() || trim(read_text(*directory + "/freezer.parent_freezing")) != "1") return ok();
  return frozen_error(find_above_v1(directory->substr(0, directory->size() - path.size()), path), path);
}

Error below_frozen(const std::string& path, Version version) { return frozen_error(find_frozen_parent(path, version), path); }

std::optional<std::string> find_freezer(const std::string& path, Version version) {
  if (path.empty()) return std::nullopt;
  if (version == Version::v2) return v2::kMount + path;
  const auto hierarchies = v1::read_hierarchies();
  if (!hierarchies.has_value()) return std::nullopt;
  const auto* freezer = v1::find_hierarchy(hierarchies.value(), "freezer");
  return freezer == nullptr ? std::nullopt : std::optional{freezer->mount + path};
}

}  // namespace husk::cgroups
