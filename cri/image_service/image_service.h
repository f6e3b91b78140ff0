// runtime.v1.ImageService. PullImage uses gRPC's callback interface: only there a handler learns that
// its client went away, which must end the download.
#pragma once

#include <atomic>

#include "cri.grpc.pb.h"
#include "cri/config.h"
#include "images/images.h"

namespace husk::cri {

namespace v1 = runtime::v1;

class ImageService final : public v1::ImageService::WithCallbackMethod_PullImage<v1::ImageService::Service> {
 public:
  ImageService(images::Images& images, const Config& config) : images_{images}, config_{config} {}

  grpc::Status ListImages(grpc::ServerContext* context, const v1::ListImagesRequest* request,
                          v1::ListImagesResponse* response) override;
  grpc::Status StreamImages(grpc::ServerContext* context, const v1::StreamImagesRequest* request,
                            grpc::ServerWriter<v1::StreamImagesResponse>* writer) override;
  grpc::Status ImageStatus(grpc::ServerContext* context, const v1::ImageStatusRequest* request,
                           v1::ImageStatusResponse* response) override;
  grpc::ServerUnaryReactor* PullImage(grpc::CallbackServerContext* context, const v1::PullImageRequest* request,
                                      v1::PullImageResponse* response) override;
  grpc::Status RemoveImage(grpc::ServerContext* context, const v1::RemoveImageRequest* request,
                           v1::RemoveImageResponse* response) override;
  grpc::Status ImageFsInfo(grpc::ServerContext* context, const v1::ImageFsInfoRequest* request,
                           v1::ImageFsInfoResponse* response) override;

 private:
  void fill(const images::Image& image, v1::Image* into) const;

  images::Images& images_;
  const Config& config_;
  std::atomic<int> pulls_ = 0;
};

}  // namespace husk::cri
