#include "cgroups/v2/controllers.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/control_file.h"

namespace husk::cgroups::v2 {
namespace {

// What Stats shows. The others cost memory in each cgroup and are enabled by their limits only.
constexpr std::array<std::string_view, 4> kForStatistics = {"cpu", "io", "memory", "pids"};

bool holds(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Error missing(const std::string& directory, const std::string& controller, const std::vector<ControlFile>& files) {
  auto error = Error{Kind::unsupported, format_text("a limit needs the cgroup controller {}, which {}/cgroup.controllers does "
                                              "not list", quote(controller), directory)}
      .hint("the controller is off (cgroup_disable=, kernel configuration), in use by a cgroup v1 mount, or not "
            "delegated to us by the parent's cgroup.subtree_control");
  for (const auto& file : files)
    if (file.name.starts_with(controller + ".")) return std::move(error).during(pointer_of(file.field));
  return error;
}

// One write for all; one for each when that fails, so that a refused optional one does not matter. Not below
// processes (EBUSY): cpu and pids alone would be taken there, and make the parent a root of threads, below which
// a new cgroup takes no process at all. Source: cgroup-v2.rst, "Threads".
Status enable(const std::string& directory, const std::vector<std::string>& absent,
              const std::vector<std::string>& needed) {
  const auto file = directory + "/cgroup.subtree_control";
  std::string all;
  for (const auto& controller : absent) all += format_text("{}+{}", all.empty() ? "" : " ", controller);
  const auto together = write_existing(AT_FDCWD, file, all);
  if (together.has_value()) return ok();
  const bool has_processes = together.error().os_errno() == EBUSY;
  for (const auto& controller : absent) {
    const auto done = has_processes ? together : write_existing(AT_FDCWD, file, "+" + controller);
    if (!done.has_value() && holds(needed, controller))
      return explain(done.error(), file).during(format_text("enable cgroup controller {}", quote(controller)));
  }
  return ok();
}

// False where there is nothing to pass on: then there is nothing below either.
Result<bool> enable_in(const std::string& directory, const std::vector<std::string>& needed,
                       const std::vector<ControlFile>& files) {
  const auto available = read_text(directory + "/cgroup.controllers");
  if (needed.empty() && trim(available).empty()) return false;
  std::vector<std::string> wanted = needed;
  for (const auto& controller : needed)
    if (!has_word(available, controller)) return missing(directory, controller, files);
  for (const auto controller : kForStatistics)
    if (has_word(available, controller) && !holds(wanted, controller)) wanted.emplace_back(controller);
  if (wanted.empty()) return true;
  const auto enabled = read_text(directory + "/cgroup.subtree_control");
  std::erase_if(wanted, [&enabled](const std::string& controller) { return has_word(enabled, controller); });
  if (!wanted.empty()) TRY(enable(directory, wanted, needed));
  return true;
}

}  // namespace

std::vector<std::string> needed_controllers(const std::vector<ControlFile>& files) {
  std::vector<std::string> needed;
  for (const auto& file : files) {
    auto controller = file.name.substr(0, file.name.find('.'));
    if (file.need != Need::required || controller == "cgroup" || file.name.ends_with(".pressure")) continue;
    // Present in every cgroup, with or without the controller: cgroup-v2.rst, cpu.stat.
    if (file.name == "cpu.stat") continue;
    if (!holds(needed, controller)) needed.push_back(std::move(controller));
  }
  for (const auto& file : files)  // one of the two weight files is needed, which one the kernel decides
    if (file.need == Need::otherwise && !holds(needed, "io")) needed.emplace_back("io");
  return needed;
}

Status enable_controllers(const std::string& mount, const std::string& path, const std::vector<ControlFile>& files) {
  const auto needed = needed_controllers(files);
  for (std::size_t slash = 0; slash != std::string::npos; slash = path.find('/', slash + 1))
    if (!TRY(enable_in(mount + path.substr(0, slash), needed, files))) break;
  return ok();
}

}  // namespace husk::cgroups::v2
