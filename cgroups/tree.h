// A cgroup with its sub-cgroups as directories, in any one hierarchy.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::cgroups {

// mkdir -p of `path` below `mount`; appends what it made to `made`, outermost first.
// Errors: exists when the last directory was there before.
Status make_cgroup(const std::string& mount, const std::string& path, std::vector<std::string>& made);

// Whether the outermost of `made`, or what was all there before (nothing made), is below a cgroup that is not the root.
bool has_older_parent(const std::string& mount, std::span<const std::string> made);

// rmdir, ignoring failure: for roll-backs and parents that may be in use.
void remove_empty(const std::vector<std::string>& directories);  // in the order given

// v2: "/user.slice/…", where a process is; "" when in none. Source: man 7 cgroups, /proc/pid/cgroup.
std::string find_path_of(pid_t process);

// Of the whole tree; an absent one has none. Processes of PID namespaces that we cannot see are left out (the kernel says 0).
Result<std::vector<pid_t>> tree_processes(const std::string& directory);

// Sends `signal` to each; one that ended meanwhile is no error.
Status signal_processes(const std::vector<pid_t>& processes, int signal);

// The v1 freezer of a tree: a container that may make cgroups may have frozen some of its own.
Status thaw_tree(const std::string& directory);

// Removes a tree without processes, deepest first. Errors: busy.
Status remove_empty_tree(const std::string& directory);


inline constexpr const char* kOneEach =
    "each container needs a cgroup of its own: choose another cgroupsPath, or remove what runs there";
// For who puts a container there, until its first process is in it: of two at once the second is refused. Errors: exists.
Result<UniqueFd> lock_cgroup(const std::string& directory);

}  // namespace husk::cgroups
