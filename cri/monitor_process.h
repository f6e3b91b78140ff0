// Ends processes that an earlier huskd started and nobody can be asked about: a monitor that does not
// listen (yet), or the `husk create` that it is executing. Found by their command lines, since a pid in a
// file may belong to somebody else by now; ended through pidfds.
#pragma once

#include <string>

#include "base/result.h"

namespace husk::cri {

// The monitor of the pod directory and what it is executing; returns when they are gone.
Status kill_monitor(const std::string& pod_directory);
// Only the `husk create` of one container: the monitor then takes back what was made.
Status kill_creation(const std::string& container_id);

}  // namespace husk::cri
