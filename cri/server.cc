#include "cri/server.h"

#include <sys/socket.h>

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr int kMaxMessage = 16 << 20;  // kubelet's own limit

// gRPC unlinks whatever is there: look first, so that a living server keeps its socket.
Status clear_socket(const std::string& path) {
  if (!path_exists(path)) return ok();
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW));
  if (!S_ISSOCK(info.st_mode)) return Error{Kind::exists, format_text("{} exists and is not a socket", quote(path))};
  if (sys::connect_unix(path, SOCK_STREAM).has_value())
    return Error{Kind::busy, format_text("another program listens on {}", quote(path))};
  return sys::unlinkat(AT_FDCWD, path);
}

}  // namespace

Result<std::unique_ptr<grpc::Server>> start_server(const Config& config, RuntimeService& runtime, ImageService& images) {
  const auto path = config.socket_path();
  TRY(make_directories(path.substr(0, std::max<std::size_t>(1, path.rfind('/')))));
  TRY(clear_socket(path).during("listen"));
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(&runtime);
  builder.RegisterService(&images);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  builder.SetMaxSendMessageSize(kMaxMessage);
  // One thread waits when nothing happens; a call takes one, up to max_threads, then RESOURCE_EXHAUSTED.
  grpc::ResourceQuota quota{"huskd"};
  quota.SetMaxThreads(static_cast<int>(config.max_threads));
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  // The socket is born with its mode: nobody else can connect in between.
  const auto old_mask = sys::umask(0177);
  auto server = builder.BuildAndStart();
  (void)sys::umask(old_mask);
  if (server == nullptr || bound == 0) return Error{Kind::internal, format_text("gRPC could not listen on {}", quote(path))};
  return server;
}

}  // namespace husk::cri
