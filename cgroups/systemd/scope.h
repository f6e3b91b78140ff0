// The systemd driver: a container's processes in a scope that systemd makes, limits and removes; what a unit cannot
// say is written beside it by the backend of the host's cgroup version. The bus is spoken by husk-scope alone.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "cgroups/systemd/unit.h"

namespace husk::cgroups::systemd {

// Unit, path and properties of a plan whose files and device rules are there. Pure.
Status plan_scope(Plan& plan, const std::string& cgroups_path, const std::string& id, const ScopeOptions& options);

// Nothing is there until adopt(): a scope needs a process. husk-scope connects to the bus meanwhile.
// Errors: unsupported (systemd does not run here), not_found (husk-scope is not beside husk).
Result<std::unique_ptr<Cgroup>> create(const Plan& plan);

// What a container's record knows of its scope.
struct Claim {
  std::string unit;
  Manager manager = Manager::system;
  std::string path;
  std::uint64_t id = 0;  // Cgroup::id(): a name is free again when a scope has ended, and may be somebody else's now
};
// Errors: not_found (the cgroup is gone, and with it the scope).
Result<std::unique_ptr<Cgroup>> open(const Claim& claim, Version version);

// The container's own cgroup as the kernel tells it. Pure. `text`: /proc/PID/cgroup. Errors: not_found.
Result<std::string> scope_path(std::string_view text, const std::string& unit, Version version);

}  // namespace husk::cgroups::systemd
