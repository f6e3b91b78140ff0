#include <algorithm>
#include <chrono>

#include "cri/handle.h"
#include "cri/runtime_service/runtime_service.h"

namespace husk::cri {

namespace {

// A command must not outlive the client that waits for it: without this one without a time-out, or with a long
// one, would go on after the client's own deadline, and keep a thread here. 0 = no limit.
std::int64_t time_limit(const grpc::ServerContext& context, std::int64_t asked) {
  const auto deadline = context.deadline();
  if (asked < 0 || deadline == std::chrono::system_clock::time_point::max()) return asked;
  const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - std::chrono::system_clock::now()).count();
  const auto most = std::max<std::int64_t>(1, left);
  return asked == 0 ? most : std::min(asked, most);
}

}  // namespace

grpc::Status RuntimeService::ExecSync(grpc::ServerContext* context, const v1::ExecSyncRequest* request, v1::ExecSyncResponse* response) {
  return handle("ExecSync", *request, [&]() -> husk::Status {
    auto result = TRY(containers_.exec(request->container_id(), {request->cmd().begin(), request->cmd().end()}, time_limit(*context, request->timeout())));
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
