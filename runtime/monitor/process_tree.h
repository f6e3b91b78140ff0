// All processes that descend from one, found in /proc: what an exec that took too long has started.
// Source: cri-api, ExecSyncRequest.timeout: a time-out kills the command, never the container.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace husk::monitor {

struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  char state = '?';
};
// Text of /proc/PID/stat. The name in parentheses may itself hold parentheses and spaces.
std::optional<ProcessStat> parse_process_stat(std::string_view text);

// `root` and whatever has a parent in the tree or the session of `root`; `known` are members found
// earlier, whose children count although they are gone.
std::set<pid_t> select_tree(const std::vector<ProcessStat>& processes, pid_t root, const std::set<pid_t>& known);

// SIGKILL to all of it, again until nothing new appears.
Status kill_process_tree(pid_t root);

}  // namespace husk::monitor
