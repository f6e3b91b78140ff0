// The connection to huskd: one gRPC channel over its Unix socket, and calls that return Result.
// gRPC and its threads start with the first call: signals blocked before it stay blocked in all.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <grpcpp/client_context.h>

#include "base/result.h"
#include "cri.grpc.pb.h"

namespace husk::pod {

namespace cri = runtime::v1;

class Daemon {
 public:
  // "unix:///run/husk/huskd.sock", "unix:/path" or a plain absolute path.
  static Result<Daemon> connect(const std::string& address, std::chrono::seconds timeout);

  // `what` is the step for the error: "create container".
  template <class Request, class Response>
  Result<Response> call(grpc::Status (cri::RuntimeService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request, std::string_view what, std::chrono::seconds extra = {}) {
    open();
    return finish<Request, Response>(*runtime_, method, request, what, extra);
  }
  template <class Request, class Response>
  Result<Response> call(grpc::Status (cri::ImageService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request, std::string_view what, std::chrono::seconds extra = {}) {
    open();
    return finish<Request, Response>(*images_, method, request, what, extra);
  }
  const std::string& address() const { return address_; }

 private:
  Daemon() = default;
  void open();
  template <class Request, class Response, class Stub, class Method>
  Result<Response> finish(Stub& stub, Method method, const Request& request, std::string_view what,
                          std::chrono::seconds extra) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_ + extra);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return error_of(status).during(what);
    return response;
  }
  Error error_of(const grpc::Status& status) const;

  std::string address_;
  std::chrono::seconds timeout_{120};
  std::unique_ptr<cri::RuntimeService::Stub> runtime_;
  std::unique_ptr<cri::ImageService::Stub> images_;
};

}  // namespace husk::pod
