#include <algorithm>

#include "base/format.h"
#include "cri/client/commands.h"
#include "cri/client/text/table.h"
#include "oci-spec/json.h"

namespace husk::pod {
namespace {

using oci::Json;

struct Facts {
  cri::VersionResponse version;
  cri::StatusResponse status;
  cri::ImageFsInfoResponse disk;
};

Json json_of(const Facts& facts, const std::string& socket) {
  Json json = Json::object();
  json.set("socket", socket).set("name", facts.version.runtime_name()).set("version", facts.version.runtime_version());
  json.set("api_version", facts.version.runtime_api_version());
  Json conditions = Json::object();
  for (const auto& each : facts.status.status().conditions())
    conditions.set(each.type(), Json::object().set("status", Json{each.status()}).set("reason", each.reason()).set("message", each.message()));
  json.set("conditions", std::move(conditions));
  Json disks = Json::array();
  for (const auto& each : facts.disk.image_filesystems())
    disks.push(Json::object().set("mount_point", each.fs_id().mountpoint()).set("used_bytes", Json{std::uint64_t{each.used_bytes().value()}}));
  json.set("image_file_systems", std::move(disks));
  Json details = Json::object();
  for (const auto& [key, value] : facts.status.info()) {
    const auto parsed = oci::parse_json(value);
    details.set(key, parsed.has_value() ? parsed.value() : Json{value});
  }
  return json.set("info", std::move(details));
}

std::string text_of(const Facts& facts, const std::string& socket) {
  std::string out = format_text("{} {} (CRI {}) on {}\n", facts.version.runtime_name(), facts.version.runtime_version(),
                                facts.version.runtime_api_version(), socket);
  for (const auto& each : facts.status.status().conditions()) {
    out += format_text("{}: {}", each.type(), each.status() ? "yes" : "no");
    if (!each.status() && !each.message().empty()) out += format_text(" ({}: {})", each.reason(), each.message());
    out += '\n';
  }
  for (const auto& each : facts.disk.image_filesystems())
    out += format_text("images: {} in {}\n", format_size(each.used_bytes().value()), each.fs_id().mountpoint());
  return out;
}

}  // namespace

Result<int> run_info(Daemon& daemon, const Options& options) {
  Facts facts;
  facts.version = TRY(daemon.call(&cri::RuntimeService::Stub::Version, cri::VersionRequest{}, "version"));
  cri::StatusRequest request;
  request.set_verbose(options.has("json"));
  facts.status = TRY(daemon.call(&cri::RuntimeService::Stub::Status, request, "status"));
  const auto disk = daemon.call(&cri::ImageService::Stub::ImageFsInfo, cri::ImageFsInfoRequest{}, "image file systems");
  if (disk.has_value()) facts.disk = disk.value();  // a daemon without images is worth showing, too
  TRY(print(options.has("json") ? json_of(facts, daemon.address()).dump(2) + "\n" : text_of(facts, daemon.address())));
  return 0;
}

}  // namespace husk::pod
