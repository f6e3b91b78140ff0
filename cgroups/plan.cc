// make_plan: path, limits and device rules as data. Touches nothing.
#include "base/format.h"
#include "base/text.h"
#include "cgroups/cgroup.h"
#include "cgroups/device_rules.h"
#include "cgroups/path.h"
#include "cgroups/resources.h"
#include "cgroups/systemd/scope.h"

namespace husk::cgroups {
namespace {

// Asking for a limit and for no cgroup at all contradict each other; dropping the limit in silence
// is what users of other runtimes suffered from (crun issue 1785).
Status refuse_limits(const std::vector<ControlFile>& files) {
  if (files.empty()) return ok();
  return resource_error(Kind::invalid, files.front().field,
                        format_text("{} cannot be set without a cgroup", files.front().name))
      .hint("remove the limits, or do not use --cgroup-manager disabled");
}

}  // namespace

Result<Plan> make_plan_for(Version version, const std::string& cgroups_path, const oci::Resources& resources,
                           const std::string& id, Driver driver, const systemd::ScopeOptions& options) {
  TRY(check_resources(resources));
  Plan plan{.driver = driver, .version = version};
  plan.files = TRY(version == Version::v2 ? v2::limit_files(resources) : v1::limit_files(resources));
  if (driver == Driver::disabled) {
    TRY(refuse_limits(plan.files));
    return plan;
  }
  plan.device_rules = complete_rules(resources.devices);
  plan.check_memory_usage = resources.memory.has_value() && resources.memory->check_before_update.value_or(false);
  if (driver == Driver::systemd) {
    TRY(systemd::plan_scope(plan, cgroups_path, id, options));
    return plan;
  }
  if (find_systemd_path(cgroups_path).has_value())
    return Error{Kind::invalid,
                 format_text("\"/linux/cgroupsPath\": {} is a systemd \"slice:prefix:name\"", quote(cgroups_path))}
        .hint("the cgroupfs driver needs an absolute path such as \"/pods/web-1\"; this form is for --systemd-cgroup");
  plan.path = TRY(parse_cgroups_path(cgroups_path, id));
  return plan;
}

Result<Plan> make_plan(const std::string& cgroups_path, const oci::Resources& resources, const std::string& id,
                       Driver driver, const systemd::ScopeOptions& options) {
  return make_plan_for(host_version(), cgroups_path, resources, id, driver, options);
}

}  // namespace husk::cgroups
