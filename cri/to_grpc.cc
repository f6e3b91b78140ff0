#include "cri/to_grpc.h"

#include <string>

#include "base/format.h"

namespace husk::cri {
namespace {

grpc::StatusCode code_of(Kind kind) {
  switch (kind) {
    case Kind::invalid: return grpc::StatusCode::INVALID_ARGUMENT;
    case Kind::not_found: return grpc::StatusCode::NOT_FOUND;
    case Kind::exists: return grpc::StatusCode::ALREADY_EXISTS;
    case Kind::wrong_state: return grpc::StatusCode::FAILED_PRECONDITION;
    case Kind::denied: return grpc::StatusCode::PERMISSION_DENIED;
    // Not UNIMPLEMENTED: kubelet takes that as "this call does not exist" and stops asking for good.
    case Kind::unsupported: return grpc::StatusCode::FAILED_PRECONDITION;
    case Kind::busy: return grpc::StatusCode::UNAVAILABLE;
    case Kind::unavailable: return grpc::StatusCode::UNAVAILABLE;
    case Kind::cancelled: return grpc::StatusCode::CANCELLED;
    case Kind::timed_out: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Kind::exhausted: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Kind::internal: break;
  }
  return grpc::StatusCode::INTERNAL;
}

// Status messages travel in an HTTP/2 header: clients accept 8 KiB of headers by default.
constexpr std::size_t kMaxMessage = 4096;

}  // namespace

grpc::Status to_grpc(const Error& error) {
  auto text = error.to_string();
  if (text.size() > kMaxMessage) text.resize(kMaxMessage);
  return {code_of(error.kind()), text};
}

grpc::Status to_grpc(const Status& status) { return status.has_value() ? grpc::Status::OK : to_grpc(status.error()); }

grpc::Status not_implemented(std::string_view call, std::string_view what) {
  return {grpc::StatusCode::UNIMPLEMENTED, format_text("{} is not there yet: {}", call, what)};
}

}  // namespace husk::cri
