// Out-of-memory kills in a container's cgroup, told by the kernel.
// Source: cgroup-v2.rst, memory.events; cgroup-v1/memory.rst section 10.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/cgroup.h"

namespace husk::runtime {

class OomWatch {
 public:
  // `path`: of the cgroup, below the hierarchy root.
  static Result<OomWatch> create(const std::string& path, cgroups::Version version);
  // To poll for POLLIN; then take_event() says whether it was a kill.
  int fd() const { return event_.get(); }
  bool take_event();
  // Kills that came without an event: the last one may end the container before it is told.
  bool take_late_kill();

 private:
  OomWatch(std::string path, cgroups::Version version) : path_{std::move(path)}, version_{version} {}
  std::string path_;
  cgroups::Version version_;
  UniqueFd control_;  // v1: memory.oom_control
  UniqueFd event_;    // inotify (v2) or eventfd (v1)
  std::uint64_t seen_ = 0;
};

}  // namespace husk::runtime
