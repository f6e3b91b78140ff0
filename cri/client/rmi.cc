#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "cri/client/commands.h"

namespace husk::pod {
namespace {

// RemoveImage succeeds for what is not there; a person who mistyped wants to know.
Status remove_image(Daemon& daemon, const std::string& image) {
  cri::ImageStatusRequest status;
  status.mutable_image()->set_image(image);
  const auto known = TRY(daemon.call(&cri::ImageService::Stub::ImageStatus, status, "image status"));
  if (!known.has_image()) return Error{Kind::not_found, format_text("no image {}", quote(image))}.hint("see husk-pod images");
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  TRY(daemon.call(&cri::ImageService::Stub::RemoveImage, request, "remove image"));
  return ok();
}

}  // namespace

Result<int> run_rmi(Daemon& daemon, const Options& options) {
  int code = 0;
  for (const auto& image : options.words()) {
    const auto done = remove_image(daemon, image);
    if (done.has_value()) continue;
    log::error(Error{done.error()}.during("rmi").to_string());
    code = 1;
  }
  return code;
}

}  // namespace husk::pod
