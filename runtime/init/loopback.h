// The loopback device of a new network namespace. It comes up here and by nobody else: callers that ask
// for no network (podman --network=none, a pod of it) still expect 127.0.0.1 to answer.
#pragma once

#include "base/result.h"

namespace husk::runtime {

// Sets "lo" up in the caller's network namespace; the kernel then gives it 127.0.0.1 and ::1.
Status raise_loopback();

}  // namespace husk::runtime
