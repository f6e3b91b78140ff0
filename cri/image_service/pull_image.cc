#include <atomic>
#include <system_error>
#include <thread>

#include "cri/handle.h"
#include "cri/image_service/image_service.h"

namespace husk::cri {
namespace {

constexpr int kMostPulls = 64;

class Pull final : public grpc::ServerUnaryReactor {
 public:
  Pull(images::Images& images, std::atomic<int>& running, const v1::PullImageRequest& request, v1::PullImageResponse& response)
      : images_{images}, running_{running}, request_{request}, response_{response} {}

  // The pull gets a thread of its own: gRPC's must not block. It ends with Finish, which a shutdown of
  // the server waits for.
  void begin() {
    if (running_.fetch_add(1) >= kMostPulls) {
      Finish(to_grpc(Error{Kind::exhausted, format_text("{} images are being pulled already", kMostPulls)}));
      return;
    }
    try {
      std::thread{[this] { Finish(handle("PullImage", request_, [this] { return pull(); })); }}.detach();
    } catch (const std::system_error& error) {
      Finish(to_grpc(Error{Kind::exhausted, format_text("start a thread: {}", error.what())}));
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override {
    running_.fetch_sub(1);
    delete this;  // gRPC's contract: the reactor owns itself until here
  }

 private:
  Status pull() {
    const auto& reference = request_.image().image();
    if (reference.empty()) return Error{Kind::invalid, "image.image is empty"};
    images::PullOptions options;
    options.credentials = TRY(from_proto(request_.auth()));
    options.cancelled = &cancelled_;
    auto id = images_.pull(reference, options);
    if (!id.has_value()) {
      // kubelet knows this prefix and shows it as the reason.
      const bool registry = id.error().kind() == Kind::unavailable || id.error().kind() == Kind::timed_out;
      return registry ? std::move(id).error().during("RegistryUnavailable") : std::move(id).error();
    }
    response_.set_image_ref(id.value());
    return ok();
  }

  images::Images& images_;
  std::atomic<int>& running_;
  const v1::PullImageRequest& request_;
  v1::PullImageResponse& response_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* ImageService::PullImage(grpc::CallbackServerContext*, const v1::PullImageRequest* request,
                                                  v1::PullImageResponse* response) {
  auto* reactor = new Pull{images_, pulls_, *request, *response};
  reactor->begin();
  return reactor;
}

}  // namespace husk::cri
