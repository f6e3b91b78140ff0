// Request → the options of CRIU's RPC.
#pragma once

#include "base/result.h"
#include "criu/request.h"
#include "rpc.pb.h"

namespace husk::criu {

// Errors: invalid, an unknown word for a mode. `own_groups`: text of /proc/self/cgroup.
Result<rpc::criu_req> make_rpc_request(const Request& request, std::string_view own_groups);

}  // namespace husk::criu
