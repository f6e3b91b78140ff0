#include "rootless.h"

#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/format.h"

namespace husk::runtime {
namespace {

// The initial namespace maps all ids to themselves. Source: man 7 user_namespaces.
bool is_in_user_namespace() {
  const auto map = read_file("/proc/self/uid_map", 65536);
  return map.has_value() && map.value().find("4294967295") == std::string::npos;
}

}  // namespace

bool is_rootless() { return ::geteuid() != 0 || is_in_user_namespace(); }

std::string default_state_root() {
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  if (runtime_dir != nullptr && *runtime_dir == '/' && is_rootless()) return format_text("{}/husk", runtime_dir);
  return "/run/husk";
}

bool can_do_without_cgroup(const cgroups::Plan& plan, const std::string& cgroups_path) {
  return cgroups_path.empty() && plan.files.empty() && is_rootless();
}

}  // namespace husk::runtime
