// Why no process can be made in a cgroup: the number of its pids, or that of one above, is reached.
#pragma once

#include <string>

#include "cgroups/cgroup.h"

namespace husk::cgroups {

// For an error of clone3 (EAGAIN, Kind busy or exhausted) a hint that names the limit; others stay as they are.
Error explain_no_process(Error error, const std::string& path, Version version);

}  // namespace husk::cgroups
