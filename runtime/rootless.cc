#include "rootless.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "base/format.h"
#include "base/sys.h"
#include "cgroups/tree.h"

namespace husk::runtime {
namespace {

std::optional<bool> forced;

// To make a cgroup there, and to move processes into it.
bool may_use(const std::string& place) {
  const auto directory = "/sys/fs/cgroup" + place;
  return sys::access(directory, W_OK).has_value() && sys::access(directory + "/cgroup.procs", W_OK).has_value();
}

}  // namespace

// A map of all ids to themselves may be another namespace's too (systemd 260 makes such ones); the inode of the
// initial one is fixed. Source: linux/nsfs.h, USER_NS_INIT_INO.
bool is_in_user_namespace() {
  constexpr ino_t kInitial = 0xEFFFFFFDU;
  const auto own = sys::fstatat(AT_FDCWD, "/proc/self/ns/user", 0);
  return own.has_value() && own.value().st_ino != kInitial;
}

void force_rootless(bool rootless) { forced = rootless; }

bool is_rootless() {
  if (forced.has_value()) return *forced;
  return ::geteuid() != 0 || is_in_user_namespace();
}

std::string default_state_root() {
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  if (runtime_dir != nullptr && *runtime_dir == '/' && is_rootless()) return format_text("{}/husk", runtime_dir);
  if (runtime_dir != nullptr || ::geteuid() == 0) return "/run/husk";
  const auto own = format_text("/run/user/{}", ::geteuid());
  (void)::setenv("XDG_RUNTIME_DIR", own.c_str(), 1);  // for the husk that starts anew in a user namespace, as its root
  return own + "/husk";
}

std::string find_delegated_cgroup(const std::string& id) {
  if (!is_rootless() || cgroups::host_version() != cgroups::Version::v2) return "";
  const auto own = cgroups::find_path_of(::getpid());
  for (const auto& place : {own.substr(0, own.rfind('/') == std::string::npos ? 0 : own.rfind('/')), own}) {
    const bool inside = !place.empty() && place.find("/..") == std::string::npos;  // of what a cgroup namespace shows
    if (inside && may_use(place)) return format_text("{}/husk-{}", place, id);
  }
  return "";
}

bool can_do_without_cgroup(const cgroups::Plan& plan, const std::string& cgroups_path) {
  return cgroups_path.empty() && plan.files.empty() && is_rootless();
}

}  // namespace husk::runtime
