#include <vector>

#include "cri/client/commands.h"
#include "cri/client/text/table.h"
#include "oci-spec/json.h"

namespace husk::pod {
namespace {

using oci::Json;

Json json_of(const cri::Image& image) {
  Json tags = Json::array();
  Json digests = Json::array();
  for (const auto& tag : image.repo_tags()) tags.push(Json{tag});
  for (const auto& digest : image.repo_digests()) digests.push(Json{digest});
  Json json = Json::object();
  json.set("id", image.id()).set("tags", std::move(tags)).set("digests", std::move(digests));
  return json.set("size", Json{std::uint64_t{image.size()}}).set("pinned", Json{image.pinned()});
}

}  // namespace

Result<int> run_images(Daemon& daemon, const Options& options) {
  const auto response = TRY(daemon.call(&cri::ImageService::Stub::ListImages, cri::ListImagesRequest{}, "list images"));
  if (options.has("json")) {
    Json list = Json::array();
    for (const auto& image : response.images()) list.push(json_of(image));
    TRY(print(list.dump(2) + "\n"));
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& image : response.images()) {
    const auto id = image.id().starts_with("sha256:") ? image.id().substr(7) : image.id();
    std::vector<std::string> names{image.repo_tags().begin(), image.repo_tags().end()};
    if (names.empty()) names.assign(image.repo_digests().begin(), image.repo_digests().end());
    if (names.empty()) names.emplace_back("<none>");
    for (const auto& name : names) rows.push_back({name, short_id(id), format_size(image.size()), image.pinned() ? "yes" : ""});
  }
  TRY(print(format_table({"IMAGE", "ID", "SIZE", "PINNED"}, rows)));
  return 0;
}

}  // namespace husk::pod
