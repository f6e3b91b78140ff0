// delete --force of a container whose record cannot be read. Nobody is killed on the word of such a file: husk's own copy
// of config.json says where its cgroup must be, and only when nobody lives there the rest is removed.
#include <algorithm>

#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "container.h"
#include "plan.h"

namespace husk::runtime {
namespace {

// By either driver: the record would say which.
std::vector<std::string> possible_cgroups(oci::Spec spec, const std::string& id) {
  spec.linux.resources = {};  // only the path is asked for
  spec.annotations.clear();
  std::vector<std::string> found;
  for (const auto driver : {cgroups::Driver::cgroupfs, cgroups::Driver::systemd}) {
    const auto plan = plan_cgroup(spec, id, driver);
    if (plan.has_value()) found.push_back(plan.value().path);  // else the path is of the other driver's form
  }
  return found;
}

// "12 34", a few of them.
std::string listed(const std::vector<pid_t>& processes) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, processes.size()); ++i) text += format_text("{}{}", i == 0 ? "" : " ", processes[i]);
  return processes.size() > kShown ? text + " ..." : text;
}

Status remove_uninhabited(const std::string& path, const std::string& id) {
  const auto cgroup = cgroups::open(path, cgroups::host_version());
  if (!cgroup.has_value()) return cgroup.error().kind() == Kind::not_found ? ok() : Status{cgroup.error()};
  const auto left = TRY(cgroup.value()->processes());
  if (left.empty()) return cgroup.value()->remove();
  return Error{Kind::wrong_state, format_text("nothing is ended or removed: processes {} live in cgroup {}", listed(left), quote(path))}.hint(
      format_text("if they are the container's, end them with kill -KILL, then husk delete --force {}", id));
}

}  // namespace

Status remove_damaged(const ContainerDir& directory, const Error& damage) {
  const auto id = directory.path().substr(directory.path().rfind('/') + 1);
  const auto spec = saved_spec(directory);
  if (!spec.has_value())
    return Error{Kind::wrong_state, format_text("nothing is ended or removed: neither state.json ({}) nor config.json ({}) tells what is left",
                                                damage.what(), spec.error().what())}
        .hint(format_text("look for processes and a cgroup of the container, end them, then rm -r {}", directory.path()));
  for (const auto& path : possible_cgroups(spec.value(), id)) TRY(remove_uninhabited(path, id).during(damage.what()));
  log::warning(format_text("{}: nobody lives in the cgroup that config.json names; what is left is removed", damage.what()));
  return directory.remove();
}

}  // namespace husk::runtime
