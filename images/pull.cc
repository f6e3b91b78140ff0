#include "images/pull.h"

#include <algorithm>
#include <system_error>
#include <thread>

#include "base/format.h"
#include "base/text.h"
#include "images/content_store.h"
#include "images/platform.h"
#include "images/registry/client.h"
#include "images/sha256.h"
#include "oci-spec/parse_image.h"
#include "rootfs/overlay.h"

namespace husk::images {
namespace {

constexpr std::size_t kMaxConfig = 4U << 20U;
constexpr std::size_t kParallelLayers = 3;
constexpr int kMaxIndexDepth = 4;
constexpr std::size_t kMostLayers = rootfs::kMaxOverlayLayers - 1;  // one is the init layer

// What the pull of one image needs to know once the registry has answered.
struct Resolved {
  std::string manifest;     // exact bytes of the platform's manifest
  std::string top_digest;   // of what the reference named: the manifest or its index
  oci::Manifest parsed;
};

// Tells how far a pull is. Called from several threads.
class Progress {
 public:
  Progress(const PullOptions& options, std::uint64_t total) : options_{&options}, total_{total} {}
  void add(std::uint64_t bytes, const std::string& what) {
    const std::lock_guard lock{mutex_};
    done_ += bytes;
    tell(PullStage::downloading, what);
  }
  void tell(PullStage stage, const std::string& what) const {
    if (options_->progress) options_->progress({.stage = stage, .bytes_done = done_, .bytes_total = total_, .what = what});
  }

 private:
  const PullOptions* options_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::mutex mutex_;
};

Result<std::string> checked_manifest(RegistrySession& session, HttpClient& http, const std::string& selector,
                                     std::string& media_type) {
  auto fetched = TRY(fetch_manifest(session, http, selector));
  if (selector.contains(':')) {  // a digest, of an algorithm that digest_hex() lets pass
    const auto digest = TRY(sha256_of(fetched.text));
    if (digest != selector)
      return Error{Kind::invalid, format_text("the registry sent a manifest with digest {} for {}", digest, selector)};
  }
  media_type = std::move(fetched.media_type);
  return std::move(fetched.text);
}

Result<oci::Descriptor> choose(const oci::Index& index, const Platform& wanted) {
  const oci::Descriptor* best = nullptr;
  int best_score = -1;
  std::string offered;
  for (const auto& entry : index.manifests) {
    if (!entry.platform.has_value()) continue;
    const Platform platform{.os = entry.platform->os, .architecture = entry.platform->architecture, .variant = entry.platform->variant};
    offered += format_text("{}{}/{}{}{}", offered.empty() ? "" : ", ", platform.os, platform.architecture,
                           platform.variant.empty() ? "" : "/", platform.variant);
    const int score = platform_score(wanted, platform);
    if (score > best_score) {
      best = &entry;
      best_score = score;
    }
  }
  // Entries without a platform: only when there is nothing else to choose from.
  if (best == nullptr && offered.empty() && index.manifests.size() == 1) best = &index.manifests.front();
  if (best == nullptr)
    return Error{Kind::not_found, format_text("the image has no variant for {}/{}", wanted.os, wanted.architecture)}.hint(
        offered.empty() ? "its index is empty" : "it offers " + offered);
  return *best;
}

Result<Resolved> resolve(RegistrySession& session, HttpClient& http, const Reference& reference, const Platform& wanted) {
  std::string top_digest;
  std::string selector = reference.selector();
  for (int depth = 0; depth < kMaxIndexDepth; ++depth) {
    if (selector.contains(':')) TRY(digest_hex(selector).hint("only sha256 can be verified here"));
    std::string media_type;
    auto text = TRY(checked_manifest(session, http, selector, media_type));
    if (depth == 0) top_digest = reference.digest.empty() ? TRY(sha256_of(text)) : reference.digest;
    const auto document = TRY(oci::parse_manifest_or_index(text, media_type).during("manifest " + selector));
    if (const auto* manifest = std::get_if<oci::Manifest>(&document)) {
      return Resolved{.manifest = std::move(text), .top_digest = top_digest, .parsed = *manifest};
    }
    const auto chosen = TRY(choose(std::get<oci::Index>(document), wanted));
    selector = chosen.digest.text();
  }
  return Error{Kind::invalid, format_text("indexes are nested more than {} deep", kMaxIndexDepth)};
}

Result<std::string> fetch_config(RegistrySession& session, HttpClient& http, const oci::Descriptor& config) {
  if (config.size > kMaxConfig)
    return Error{Kind::invalid, format_text("the image config of {} bytes is larger than {}", config.size, kMaxConfig)};
  std::string text;
  TRY(fetch_blob(session, http, config.digest.text(), config.size, [&](std::string_view block) -> Status {
    text += block;
    return ok();
  }));
  if (TRY(sha256_of(text)) != config.digest.text())
    return Error{Kind::invalid, format_text("the image config does not have the digest {}", config.digest.text())};
  return text;
}

// Feeds the missing layers from several threads; the first failure stops the others at their next block.
class LayerFetch {
 public:
  LayerFetch(RegistrySession& session, LayerBatch& batch, const std::vector<oci::Descriptor>& layers, Progress& progress)
      : session_{&session}, batch_{&batch}, layers_{&layers}, progress_{&progress} {}

  Status run() {
    std::vector<std::thread> threads;
    try {
      for (std::size_t i = 1; i < std::min(kParallelLayers, layers_->size()); ++i) threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      // No more threads are to be had: those that are there do it all.
    }
    work();
    for (auto& thread : threads) thread.join();
    if (failure_.has_value()) return *failure_;
    return ok();
  }

 private:
  void work() {
    HttpClient http;
    for (;;) {
      const auto index = next_.fetch_add(1);
      if (index >= layers_->size() || stop_.load()) return;
      auto done = fetch(http, index);
      if (done.has_value()) continue;
      stop_.store(true);
      const std::lock_guard lock{mutex_};
      if (!failure_.has_value()) failure_ = std::move(done).error();
    }
  }

  Status fetch(HttpClient& http, std::size_t index) {
    const auto& layer = (*layers_)[index];
    const auto step = format_text("layer {}", layer.digest.text());
    if (batch_->state(index) == LayerState::ready) return ok();
    if (batch_->state(index) == LayerState::blob_only) return batch_->unpack_blob(index).during(step);
    auto sink = TRY(batch_->start(index).during(step));
    TRY(fetch_blob(*session_, http, layer.digest.text(), layer.size, [&](std::string_view block) -> Status {
      if (stop_.load()) return Error{Kind::cancelled, "another layer failed"};
      progress_->add(block.size(), layer.digest.text());
      return sink->write(block);
    }).during(step));
    return sink->finish().during(step);
  }

  RegistrySession* session_;
  LayerBatch* batch_;
  const std::vector<oci::Descriptor>* layers_;
  Progress* progress_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

// An index offers a choice; a manifest alone says only in its config what it is for. Without a wish of the caller
// another architecture is let pass: binfmt_misc may have an emulator for it.
Status check_platform(const oci::ImageConfig& image, const Platform& wanted, bool asked_for) {
  const Platform own{.os = image.platform.os, .architecture = image.platform.architecture, .variant = {}};
  const bool other_os = !own.os.empty() && own.os != wanted.os;
  const bool other_machine = asked_for && platform_score(wanted, own) < 0;
  if (!other_os && !other_machine) return ok();
  return Error{Kind::not_found, format_text("the image is for {}/{}, not for {}/{}", own.os, own.architecture, wanted.os,
                                            wanted.architecture)}
      .hint("this tag holds one platform only: name another tag or platform");
}

std::string flight_key(const Reference& reference, const PullOptions& options) {
  const auto& c = options.credentials;
  std::string key = reference.text() + '\0' + options.platform;
  for (const auto* part : {&c.username, &c.password, &c.identity_token, &c.registry_token, &c.server_address})
    key += '\0' + *part;
  return key;
}

// Whether another mirror may still have it.
bool try_next(const Error& error) {
  return error.kind() != Kind::cancelled && error.kind() != Kind::exhausted;
}

}  // namespace

Result<std::string> Puller::pull_from(const Reference& reference, const PullOptions& options, const Endpoint& endpoint) {
  auto certificates = TRY(load_certificates(options_.certs_dirs, endpoint.host));
  const auto wanted = options.platform.empty() ? host_platform() : TRY(parse_platform(options.platform));
  // A mirror gets no credentials that were given for the registry itself.
  RegistrySession session{endpoint, std::move(certificates), endpoint.is_mirror ? Credentials{} : options.credentials,
                          options.cancelled};
  HttpClient http;
  if (options.progress) options.progress({.stage = PullStage::resolving, .what = reference.text()});
  TRY(reach(PullStep::resolve));
  const auto resolved = TRY(resolve(session, http, reference, wanted));
  TRY(reach(PullStep::config));
  const auto config = TRY(fetch_config(session, http, resolved.parsed.config));
  const auto image = TRY(oci::parse_image_config(config).during("image config"));
  TRY(oci::check_image_pair(resolved.parsed, image));
  TRY(check_platform(image, wanted, !options.platform.empty()));
  if (resolved.parsed.layers.size() > kMostLayers)
    return Error{Kind::unsupported, format_text("the image has {} layers", resolved.parsed.layers.size())}.hint(
        format_text("overlayfs mounts {} at most: squash the image", kMostLayers));
  std::vector<LayerSource> sources;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < resolved.parsed.layers.size(); ++i) {
    const auto& layer = resolved.parsed.layers[i];
    total += layer.size;
    sources.push_back({.digest = layer.digest.text(), .diff_id = image.diff_ids[i].text(), .media_type = layer.media_type, .size = layer.size});
  }
  Progress progress{options, total};
  TRY(reach(PullStep::lease));
  const auto batch = TRY(layers_->begin(std::move(sources)));
  TRY(reach(PullStep::layers));
  TRY(LayerFetch(session, *batch, resolved.parsed.layers, progress).run());
  progress.tell(PullStage::committing, reference.text());
  TRY(reach(PullStep::publish));
  TRY(batch->commit());
  TRY(reach(PullStep::record));
  NewImage record{.manifest = resolved.manifest, .config = config, .tags = {}, .repo_digests = {reference.name() + "@" + resolved.top_digest}};
  if (reference.digest.empty()) record.tags.push_back(reference.tagged());
  auto id = TRY(images_->record(record));
  progress.tell(PullStage::done, id);
  return id;
}

Result<std::string> Puller::pull_once(const Reference& reference, const PullOptions& options) {
  const auto conf = TRY(RegistriesConf::load(options_.registries_conf, options_.registries_conf_dir));
  const auto endpoints = TRY(conf.endpoints(reference));
  std::string mirrors;  // what they said: the registry's own answer comes last and alone would hide it
  for (const auto& endpoint : endpoints) {
    auto id = pull_from(reference, options, endpoint);
    if (id.has_value()) return id;
    const bool last = &endpoint == &endpoints.back() || !try_next(id.error());
    if (!last) {
      mirrors += format_text("{}mirror {}: {}", mirrors.empty() ? "" : "; ", endpoint.host, id.error().to_string());
      continue;
    }
    auto error = std::move(id).error().during("from " + endpoint.host);
    if (!mirrors.empty()) error = std::move(error).during("after " + mirrors);
    return std::move(error).during("pull " + reference.text());
  }
  return Error{Kind::not_found, format_text("pull {}: no registry is configured for it", reference.text())};
}

Result<std::string> Puller::pull(const std::string& text, const PullOptions& options) {
  const auto reference = TRY(parse_reference(text));
  const auto key = flight_key(reference, options);
  constexpr std::chrono::milliseconds kCancelCheck{50};  // how soon a waiting caller sees its own cancellation
  std::unique_lock lock{mutex_};
  for (;;) {
    const auto found = flights_.find(key);
    if (found == flights_.end()) break;
    const auto flight = found->second;
    while (!flight->done) {
      landed_.wait_for(lock, kCancelCheck);
      if (options.cancelled != nullptr && options.cancelled->load()) return Error{Kind::cancelled, "pull was cancelled"};
    }
    // The leader's caller went away: that must not fail this one. Whoever wakes first leads next.
    const bool leader_left = !flight->result->has_value() && flight->result->error().kind() == Kind::cancelled;
    if (!leader_left) return *flight->result;
  }
  const auto flight = std::make_shared<Flight>();
  flights_[key] = flight;
  lock.unlock();
  auto result = pull_once(reference, options);
  lock.lock();
  flight->done = true;
  flight->result = result;
  flights_.erase(key);
  landed_.notify_all();
  return result;
}

}  // namespace husk::images
