#include "base/format.h"
#include "base/text.h"
#include "cri/client/commands.h"

namespace husk::pod {

Status pull_image(Daemon& daemon, const std::string& image, const std::string& credentials, bool say) {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(image);
  if (!credentials.empty()) {
    const auto colon = credentials.find(':');
    if (colon == std::string::npos) return Error{Kind::invalid, "--credentials is not USER:PASSWORD"};
    request.mutable_auth()->set_username(credentials.substr(0, colon));
    request.mutable_auth()->set_password(credentials.substr(colon + 1));
  }
  const auto response = TRY(daemon.call(&cri::ImageService::Stub::PullImage, request, format_text("pull {}", quote(image)), std::chrono::hours{1}));
  if (say) TRY(print(response.image_ref() + "\n"));
  return ok();
}

Result<int> run_pull(Daemon& daemon, const Options& options) {
  for (const auto& image : options.words())
    TRY(pull_image(daemon, image, options.value("credentials").value_or(""), true));
  return 0;
}

}  // namespace husk::pod
