// Prints a container's log, and goes on until the container has ended.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "cri/client/connection.h"

namespace husk::pod {

struct FollowOptions {
  bool follow = false;
  bool timestamps = false;
  std::optional<std::size_t> tail;
  // A signalfd: `on_signal` runs when it is readable. -1 = none.
  int signal_fd = -1;
  std::function<Status()> on_signal;
};

Result<cri::ContainerStatus> read_status(Daemon& daemon, const std::string& container_id);

// Returns the last status seen: with `follow` the container has ended.
Result<cri::ContainerStatus> print_log(Daemon& daemon, const std::string& container_id, const FollowOptions& options);

}  // namespace husk::pod
