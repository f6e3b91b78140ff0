// The mounts of a process, from /proc/PID/mountinfo. Source: man 5 proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace husk::runtime {

struct Mounted {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::string point;  // as the process sees it; the kernel's \040 are undone
  std::string type;
};

class MountTable {
 public:
  explicit MountTable(std::vector<Mounted> mounts) : mounts_{std::move(mounts)} {}
  const std::vector<Mounted>& all() const { return mounts_; }
  const Mounted* find(std::uint64_t id) const;  // nullptr: not one of the process's mounts

 private:
  std::vector<Mounted> mounts_;
};
Result<MountTable> parse_mount_table(std::string_view mountinfo);  // pure
Result<MountTable> read_mount_table(pid_t pid);

}  // namespace husk::runtime
