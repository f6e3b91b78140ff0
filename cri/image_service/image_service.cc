#include "cri/image_service/image_service.h"

#include <algorithm>

#include "cri/handle.h"
#include "cri/to_proto.h"

namespace husk::cri {

void ImageService::fill(const images::Image& image, v1::Image* into) const {
  to_proto(image, into);
  const auto& pinned = config_.images.pinned;
  const auto is_named = [&](const std::string& name) { return std::ranges::find(pinned, name) != pinned.end(); };
  if (is_named(image.id) || std::ranges::any_of(image.repo_tags, is_named) || std::ranges::any_of(image.repo_digests, is_named))
    into->set_pinned(true);
}

grpc::Status ImageService::ListImages(grpc::ServerContext*, const v1::ListImagesRequest* request, v1::ListImagesResponse* response) {
  return handle("ListImages", *request, [&]() -> Status {
    if (const auto& wanted = request->filter().image().image(); !wanted.empty()) {
      const auto image = TRY(images_.find(wanted));
      if (image.has_value()) fill(*image, response->add_images());
      return ok();
    }
    const auto all = TRY(images_.list());
    for (const auto& image : all) fill(image, response->add_images());
    return ok();
  });
}

grpc::Status ImageService::StreamImages(grpc::ServerContext*, const v1::StreamImagesRequest*,
                                        grpc::ServerWriter<v1::StreamImagesResponse>*) {
  return not_implemented("StreamImages", "streamed lists are missing; ListImages works");
}

// An unknown image is an empty answer, not an error.
grpc::Status ImageService::ImageStatus(grpc::ServerContext*, const v1::ImageStatusRequest* request, v1::ImageStatusResponse* response) {
  return handle("ImageStatus", *request, [&]() -> Status {
    if (request->image().image().empty()) return Error{Kind::invalid, "image.image is empty"};
    const auto image = TRY(images_.find(request->image().image()));
    if (!image.has_value()) return ok();
    fill(*image, response->mutable_image());
    if (request->verbose()) (*response->mutable_info())["config"] = TRY(images_.config_text(image->id));
    return ok();
  });
}

grpc::Status ImageService::RemoveImage(grpc::ServerContext*, const v1::RemoveImageRequest* request, v1::RemoveImageResponse*) {
  return handle("RemoveImage", *request, [&]() -> Status {
    if (request->image().image().empty()) return Error{Kind::invalid, "image.image is empty"};
    return images_.remove(request->image().image());
  });
}

grpc::Status ImageService::ImageFsInfo(grpc::ServerContext*, const v1::ImageFsInfoRequest* request, v1::ImageFsInfoResponse* response) {
  return handle("ImageFsInfo", *request, [&]() -> Status {
    const auto usage = TRY(images_.usage());
    to_proto(usage, response->add_image_filesystems());
    // Images and containers share one file system.
    to_proto(usage, response->add_container_filesystems());
    return ok();
  });
}

}  // namespace husk::cri
