// /proc/self/mountinfo and /proc/self/cgroup: texts of the kernel with names that a container chose.
// Before the first NUL is mountinfo, behind it is cgroup.
#include "cgroups/v1/hierarchy.h"
#include "fuzz/fuzzer.h"
#include "monitor/oom.h"
#include "mount_table.h"
#include "rootfs/cgroup_mount.h"

using namespace husk;

HUSK_FUZZ(text) {
  const auto end = std::min(text.find('\0'), text.size());
  const auto mountinfo = text.substr(0, end);
  const auto cgroup = text.substr(std::min(end + 1, text.size()));
  for (const auto& one : cgroups::v1::parse_hierarchies(mountinfo)) {
    require(!one.controllers.empty(), "a hierarchy without controllers");
    require(cgroups::v1::find_hierarchy({one}, one.controllers.front()) != nullptr, "a controller that is not found");
  }
  const auto memory = monitor::find_memory_cgroup(cgroup, mountinfo);
  require(memory.directory.empty() || !memory.path.empty(), "a directory of no cgroup");
  const auto table = runtime::parse_mount_table(mountinfo);
  if (table.has_value())
    for (const auto& mount : table.value().all()) require(table.value().find(mount.id) != nullptr, "a mount that is not found");
  const auto lines = rootfs::parse_hierarchies(cgroup);
  if (!lines.has_value()) return;
  for (const auto& line : lines.value())
    require(line.directory.find('/') == std::string::npos && line.directory != ".." && line.path.starts_with('/'),
            "a hierarchy whose name is a path");
}
