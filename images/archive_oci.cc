// OCI image layouts: oci-layout, index.json, blobs/<algorithm>/<hex>.
#include <algorithm>

#include "base/format.h"
#include "base/text.h"
#include "images/archive.h"
#include "images/import.h"
#include "images/platform.h"
#include "images/sha256.h"
#include "oci-spec/parse_image.h"

namespace husk::images {
namespace {

constexpr int kMaxNesting = 4;           // indexes in indexes
constexpr std::size_t kMaxManifests = 1024;

std::string blob_name(const oci::Digest& digest) {
  return format_text("blobs/{}/{}", digest.algorithm(), digest.hex());
}

Result<std::string> read_blob(const Archive& archive, const oci::Descriptor& descriptor) {
  auto text = TRY(read_text(archive, blob_name(descriptor.digest), oci::kMaxImageDocument));
  const auto digest = TRY(sha256_of(text));
  if (digest != descriptor.digest.text())
    return Error{Kind::invalid, format_text("{} has the digest {}", blob_name(descriptor.digest), digest)}.hint(
        "the archive is damaged");
  return text;
}

struct Candidate {
  oci::Descriptor descriptor;
  std::string reference;  // of the annotation, inherited from an index around it
};

std::string reference_of(const oci::Descriptor& descriptor) {
  for (const auto* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"})
    for (const auto& [name, value] : descriptor.annotations)
      if (name == key) return value;
  return "";
}

Status collect(const Archive& archive, const oci::Index& index, const std::string& inherited, int depth,
               std::vector<Candidate>& found) {
  if (depth > kMaxNesting) return Error{Kind::invalid, format_text("indexes nest deeper than {}", kMaxNesting)};
  for (const auto& descriptor : index.manifests) {
    if (found.size() > kMaxManifests) return Error{Kind::invalid, format_text("more than {} manifests", kMaxManifests)};
    auto reference = reference_of(descriptor);
    if (reference.empty()) reference = inherited;
    if (descriptor.media_type == oci::media_type::kIndex || descriptor.media_type == oci::media_type::kDockerIndex) {
      const auto text = TRY(read_blob(archive, descriptor));
      const auto inner = TRY(oci::parse_index(text, descriptor.media_type));
      TRY(collect(archive, inner, reference, depth + 1, found));
    } else if (descriptor.media_type == oci::media_type::kManifest ||
               descriptor.media_type == oci::media_type::kDockerManifest) {
      found.push_back({.descriptor = descriptor, .reference = reference});
    }  // other types may stand in an index and mean nothing to us (image-index.md)
  }
  return ok();
}

// "docker.io/library/busybox:1" matches the annotation whole, or its tag alone.
bool names(const Candidate& candidate, const std::string& tag) {
  if (tag.empty() || candidate.reference.empty()) return false;
  const auto colon = tag.rfind(':');
  return candidate.reference == tag || candidate.reference == tag.substr(colon + 1);
}

int score(const Candidate& candidate) {
  const auto& platform = candidate.descriptor.platform;
  if (!platform.has_value() || platform->os.empty()) return 0;  // nothing said: may suit
  return platform_score(host_platform(), {platform->os, platform->architecture, platform->variant});
}

Result<oci::Descriptor> choose(std::vector<Candidate> candidates, const std::string& tag) {
  if (std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& c) { return names(c, tag); }))
    std::erase_if(candidates, [&](const Candidate& c) { return !names(c, tag); });
  const Candidate* best = nullptr;
  std::vector<std::string> offered;
  for (const auto& candidate : candidates) {
    const auto& platform = candidate.descriptor.platform;
    if (platform.has_value()) offered.push_back(platform->os + "/" + platform->architecture);
    if (score(candidate) < 0) continue;
    if (best == nullptr || score(candidate) > score(*best)) best = &candidate;
  }
  if (best != nullptr) return best->descriptor;
  auto error = Error{Kind::not_found, "the archive has no image for this machine"};
  if (offered.empty()) return error;
  return std::move(error).hint("it offers " + join(offered, ", "));
}

}  // namespace

bool is_oci_layout(const Archive& archive) { return archive.has("oci-layout") && archive.has("index.json"); }

Result<ArchiveImage> read_oci_layout(const Archive& archive, const std::string& tag) {
  const auto index_text = TRY(read_text(archive, "index.json", oci::kMaxImageDocument));
  const auto index = TRY(oci::parse_index(index_text).during("index.json"));
  std::vector<Candidate> candidates;
  TRY(collect(archive, index, "", 0, candidates));
  const auto descriptor = TRY(choose(std::move(candidates), tag));
  ArchiveImage image;
  image.manifest = TRY(read_blob(archive, descriptor));
  const auto manifest = TRY(oci::parse_manifest(image.manifest, descriptor.media_type));
  image.config = TRY(read_blob(archive, manifest.config));
  const auto config = TRY(oci::parse_image_config(image.config));
  TRY(oci::check_image_pair(manifest, config));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const auto& layer = manifest.layers[i];
    image.sources.push_back({.digest = layer.digest.text(), .diff_id = config.diff_ids[i].text(),
                             .media_type = layer.media_type, .size = layer.size});
    image.members.push_back(blob_name(layer.digest));
  }
  return image;
}

}  // namespace husk::images
