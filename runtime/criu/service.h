// One conversation with `criu swrk`: the request, the notifications on the way, the answer.
// Source: https://criu.org/RPC.
#pragma once

#include <functional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "criu/request.h"
#include "rpc.pb.h"

namespace husk::criu {

// Errors: not_found, with the package's name. Looked for in $PATH and where the system keeps it, on the host.
Result<std::string> find_program();

// `notify`: a moment that CRIU tells of, with a descriptor for some; CRIU goes on when it succeeds.
using Notify = std::function<Status(const rpc::criu_notify& moment, const UniqueFd& fd)>;
// The pid of the restored init, 0 for the rest. Restored processes are children of our parent, as CRIU itself is then.
// Errors: unavailable when CRIU went away, internal when it failed; the log says why.
Result<int> converse(const std::string& program, const Request& request, const rpc::criu_req& message, const Notify& notify);

// Why CRIU cannot work on this host at all, in its own words; "" when it can.
std::string find_host_reason(const std::string& program);

}  // namespace husk::criu
