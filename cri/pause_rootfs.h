// The root file system of every pod's first process: one directory with one static program, shared.
#pragma once

#include <string>

#include "base/result.h"

namespace husk::cri {

// Copies `program` to "<directory>/pause" when it differs, and makes the mount point of /proc.
// Returns the directory. Pods that run keep the program they started with.
Result<std::string> prepare_pause_rootfs(const std::string& directory, const std::string& program);

}  // namespace husk::cri
