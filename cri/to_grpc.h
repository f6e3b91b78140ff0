// The only place where an Error becomes a gRPC status. Source: cri-api, pkg/errors/errors.go (codes kubelet tells apart).
#pragma once

#include <grpcpp/support/status.h>

#include "base/error.h"
#include "base/result.h"

namespace husk::cri {

grpc::Status to_grpc(const Error& error);
grpc::Status to_grpc(const Status& status);
// For calls of the protocol that this version does not answer; `what` names what is missing.
grpc::Status not_implemented(std::string_view call, std::string_view what);

}  // namespace husk::cri
