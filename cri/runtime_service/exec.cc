#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"

namespace husk::cri {

grpc::Status RuntimeService::ExecSync(grpc::ServerContext*, const v1::ExecSyncRequest* request, v1::ExecSyncResponse* response) {
  return handle("ExecSync", *request, [&]() -> husk::Status {
    auto result = TRY(containers_.exec(request->container_id(), {request->cmd().begin(), request->cmd().end()}, request->timeout()));
    response->set_stdout(std::move(result.out));
    response->set_stderr(std::move(result.err));
    response->set_exit_code(result.exit_code);
    return ok();
  });
}

grpc::Status RuntimeService::ReopenContainerLog(grpc::ServerContext*, const v1::ReopenContainerLogRequest* request,
                                                v1::ReopenContainerLogResponse*) {
  return handle("ReopenContainerLog", *request, [&] { return containers_.reopen_log(request->container_id()); });
}

}  // namespace husk::cri
