#include "cgroups/pids_limit.h"

#include <cerrno>

#include "base/format.h"
#include "base/text.h"
#include "cgroups/control_file.h"
#include "cgroups/v1/hierarchy.h"
#include "cgroups/v2/cgroup_v2.h"

namespace husk::cgroups {
namespace {

// A process on its way into a pid namespace makes the next one there: both count.
constexpr std::uint64_t kForAMoment = 2;

// Source: cgroup-v2.rst, "PID"; cgroup-v1/pids.rst, which knows the same files.
std::string full_one(const std::string& mount, const std::string& path) {
  for (auto end = path.size(); end != std::string::npos && end > 0; end = path.rfind('/', end - 1)) {
    const auto directory = mount + path.substr(0, end);
    const auto limit = parse_uint64(trim(read_text(directory + "/pids.max")));
    const auto current = read_number(directory + "/pids.current");
    if (limit.has_value() && current + kForAMoment > limit.value())
      return format_text("pids.max of {} is reached: {} of {} in use, and husk needs up to {} more for a moment; raise "
                         "\"/linux/resources/pids/limit\" (husk update --pids-limit)", quote(directory), current, limit.value(), kForAMoment);
  }
  return "";
}

std::string find_mount(Version version) {
  if (version == Version::v2) return v2::kMount;
  const auto hierarchies = v1::read_hierarchies();
  const auto* pids = hierarchies.has_value() ? v1::find_hierarchy(hierarchies.value(), "pids") : nullptr;
  return pids != nullptr ? pids->mount : "";
}

}  // namespace

Error explain_no_process(Error error, const std::string& path, Version version) {
  if (error.os_errno() != EAGAIN || error.what().find("clone3(") == std::string::npos) return error;
  const auto mount = find_mount(version);
  auto reached = mount.empty() ? std::string{} : full_one(mount, path);
  return std::move(error).hint(reached.empty() ? "RLIMIT_NPROC of the user is reached, or pids.max of a cgroup, or kernel.threads-max"
                                               : std::move(reached));
}

}  // namespace husk::cgroups
