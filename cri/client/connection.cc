#include "cri/client/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "base/format.h"
#include "base/text.h"

namespace husk::pod {
namespace {

Kind kind_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE: return Kind::invalid;
    case grpc::StatusCode::NOT_FOUND: return Kind::not_found;
    case grpc::StatusCode::ALREADY_EXISTS: return Kind::exists;
    case grpc::StatusCode::FAILED_PRECONDITION: return Kind::wrong_state;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED: return Kind::denied;
    case grpc::StatusCode::UNIMPLEMENTED: return Kind::unsupported;
    case grpc::StatusCode::ABORTED: return Kind::busy;
    case grpc::StatusCode::UNAVAILABLE: return Kind::unavailable;
    case grpc::StatusCode::CANCELLED: return Kind::cancelled;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return Kind::timed_out;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Kind::exhausted;
    default: return Kind::internal;
  }
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

Result<Daemon> Daemon::connect(const std::string& address, std::chrono::seconds timeout) {
  std::string_view path = address;
  if (path.starts_with("unix:")) path.remove_prefix(5);
  if (path.starts_with("///")) path.remove_prefix(2);
  if (!path.starts_with('/'))
    return Error{Kind::invalid, format_text("socket address {} is not unix:///PATH", quote(address))};
  Daemon daemon;
  daemon.address_ = std::string{path};
  daemon.timeout_ = timeout;
  return daemon;
}

void Daemon::open() {
  if (runtime_ != nullptr) return;
  grpc::ChannelArguments arguments;
  // A local socket needs none of this, and each costs start-up time.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetMaxReceiveMessageSize(-1);  // the daemon bounds what it sends
  const auto channel = grpc::CreateCustomChannel("unix:" + address_, grpc::InsecureChannelCredentials(), arguments);
  runtime_ = cri::RuntimeService::NewStub(channel);
  images_ = cri::ImageService::NewStub(channel);
}

Error Daemon::error_of(const grpc::Status& status) const {
  const auto message = status.error_message();
  Error error{kind_of(status.error_code()), message.empty() ? format_text("gRPC status {}", static_cast<int>(status.error_code())) : message};
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return error;
  if (contains(message, "Permission denied")) return std::move(error).hint("run as root: sudo husk pod ...");
  if (contains(message, "No such file") || contains(message, "refused"))
    return Error{Kind::unavailable, format_text("huskd does not answer on {}", quote(address_))}.hint(
        "start it: sudo huskd; or name its socket by --socket or HUSK_SOCKET");
  return error;
}

}  // namespace husk::pod
