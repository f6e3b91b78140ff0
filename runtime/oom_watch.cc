#include "oom_watch.h"

#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "cgroups/v1/hierarchy.h"

namespace husk::runtime {

Result<OomWatch> OomWatch::create(const std::string& path, cgroups::Version version) {
  OomWatch watch{path, version};
  watch.seen_ = cgroups::read_oom_kills(path);
  if (version == cgroups::Version::v2) {
    watch.event_ = TRY(sys::inotify_init());
    TRY(sys::inotify_add_watch(watch.event_.get(), format_text("/sys/fs/cgroup{}/memory.events", path), IN_MODIFY));
    return watch;
  }
  const auto hierarchies = TRY(cgroups::v1::read_hierarchies());
  const auto* memory = cgroups::v1::find_hierarchy(hierarchies, "memory");
  if (memory == nullptr) return Error{Kind::unsupported, "the memory controller is not mounted"};
  const auto directory = memory->mount + path;
  watch.control_ = TRY(sys::openat(AT_FDCWD, directory + "/memory.oom_control", O_RDONLY));
  watch.event_ = TRY(sys::eventfd());
  TRY(write_existing(AT_FDCWD, directory + "/cgroup.event_control",
                     format_text("{} {}", watch.event_.get(), watch.control_.get())));
  return watch;
}

bool OomWatch::take_event() {
  std::array<char, 512> text{};
  if (!sys::read_some(event_.get(), text).has_value()) return false;
  const auto kills = cgroups::read_oom_kills(path_);
  if (version_ == cgroups::Version::v2) {
    // The file also changes with other events of memory.
    if (kills <= seen_) return false;
    seen_ = kills;
    return true;
  }
  // Told before the kill, so the count may lag; and when the cgroup is removed, where nothing can be read.
  const auto got = sys::pread_some(control_.get(), text, 0);
  if (!got.has_value()) return false;
  const std::string_view state{text.data(), got.value()};
  if (kills <= seen_ && state.find("oom_kill_disable 1") != std::string_view::npos) return false;  // stopped, not killed
  seen_ = std::max(seen_ + 1, kills);
  return true;
}

bool OomWatch::take_late_kill() {
  const auto kills = cgroups::read_oom_kills(path_);
  if (kills <= seen_) return false;
  seen_ = kills;
  return true;
}

}  // namespace husk::runtime
