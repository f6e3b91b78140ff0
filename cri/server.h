// The gRPC server on its unix socket.
#pragma once

#include <memory>

#include <grpcpp/server.h>

#include "base/result.h"
#include "cri/config.h"
#include "cri/image_service/image_service.h"
#include "cri/runtime_service/runtime_service.h"

namespace husk::cri {

// Listens with mode 0600. A socket file that nobody listens on is replaced; a living one is an error.
Result<std::unique_ptr<grpc::Server>> start_server(const Config& config, RuntimeService& runtime, ImageService& images);

}  // namespace husk::cri
