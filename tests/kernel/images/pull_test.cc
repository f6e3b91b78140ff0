// Pulls from a registry on loopback into a real store: each step made to fail, faults of the registry, callers
// that share one download.
#include "bed.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <thread>

#include "harness/http_server.h"
#include "images/pull.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

constexpr std::array kSteps{PullStep::resolve, PullStep::config, PullStep::lease,
                            PullStep::layers, PullStep::publish, PullStep::record};

std::string digest_of(const std::string& text) { return sha256_of(text).value(); }

std::string descriptor(const std::string& type, const std::string& text, const std::string& digest = {}) {
  return format_text(R"({{"mediaType":"{}","digest":"{}","size":{}}})", type, digest.empty() ? digest_of(text) : digest, text.size());
}

// An image of two layers, as a registry would answer for it. What is put into `replies` later wins.
struct Content {
  Content() {
    layers = {tar_of(file("a", "1")), tar_of(file("b", std::string(50'000, 'x')))};
    config = format_text(R"({{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}})",
                         digest_of(layers[0]), digest_of(layers[1]));
    manifest = format_text(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}})", kManifest,
                           descriptor("application/vnd.oci.image.config.v1+json", config), descriptor(kLayer, layers[0]),
                           descriptor(kLayer, layers[1]));
    index = format_text(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})", kIndex, descriptor(kManifest, manifest));
    put_manifest("latest", index, kIndex);
    put_manifest(digest_of(manifest), manifest, kManifest);
    for (const auto* blob : {&config, &layers[0], &layers[1]}) put_blob(*blob);
  }
  void put_manifest(const std::string& selector, const std::string& text, const char* type) {
    replies["/v2/app/manifests/" + selector] = http_reply(200, text, {format_text("Content-Type: {}", type)});
  }
  void put_blob(const std::string& text) { replies["/v2/app/blobs/" + digest_of(text)] = http_reply(200, text); }
  HttpServer::Handler handler() const {
    return [this](const HttpSeen& request) {
      const auto found = replies.find(request.path);
      return found == replies.end() ? http_reply(404, "no such thing") : found->second;
    };
  }
  static constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";
  static constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";
  static constexpr const char* kLayer = "application/vnd.oci.image.layer.v1.tar";
  std::vector<std::string> layers;
  std::string config;
  std::string manifest;
  std::string index;
  std::map<std::string, std::string> replies;
};

StoreOptions options(const std::string& root) {
  return {.root = root, .registries_conf = "", .registries_conf_dir = "", .certs_dirs = {}};
}

std::string reference(const HttpServer& server) { return server.address() + "/app:latest"; }

std::vector<std::string> names_in(const std::string& path) {
  const auto fd = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(fd);
  std::vector<std::string> names;
  const auto entries = sys::list_dir(fd.value().get());
  REQUIRE_OK(entries);
  for (const auto& entry : entries.value()) names.push_back(entry.name);
  return names;
}

// Files and rows of a store in which nothing was ever pulled.
std::string what_is_left(Bed& bed) {
  std::vector<std::string> found;
  const auto& root = bed.dir->root();
  for (const auto& path : {root + "/layers", root + "/blobs/sha256", root + "/containers", root + "/tmp/" + bed.dir->owner()})
    for (const auto& name : names_in(path)) found.push_back(path.substr(root.size()) + "/" + name);
  REQUIRE_OK(bed.database->read([&](Connection& connection) -> Status {
    for (const auto* table : {"images", "manifests", "names", "layers", "blobs", "pins"}) {
      auto query = TRY(connection.prepare(format_text("SELECT count(*) FROM {}", table)));
      if (TRY(query.step()) && query.number(0) != 0) found.push_back(format_text("{} rows in {}", query.number(0), table));
    }
    return ok();
  }));
  return join(found, ", ");
}

void check_whole(Bed& bed, const TmpfsDir& temporary) {
  const auto images = bed.store.list();
  REQUIRE_OK(images);
  REQUIRE(images.value().size() == 1);
  std::vector<std::string> directories;
  for (const auto& chain : images.value().front().layer_chain_ids)
    directories.insert(directories.begin(), bed.dir->layer_path(digest_hex(chain).value()) + "/fs");
  CHECK(merged(directories, temporary / "mnt").size() == 2);
}

// What a registry may say instead of the truth, and a part of the error that follows.
struct Lie {
  const char* what;
  std::function<void(Content&)> spoil;
  const char* expected;
};
std::vector<Lie> lies() {
  const std::string sha512 = "sha512:" + std::string(128, 'a');
  return {
      {"another manifest than the index says",
       [](Content& c) { c.put_manifest(digest_of(c.manifest), c.manifest + " ", Content::kManifest); }, "sent a manifest with digest"},
      {"a manifest whose digest cannot be verified",
       [sha512](Content& c) {
         c.put_manifest("latest", format_text(R"({{"schemaVersion":2,"manifests":[{}]}})", descriptor(Content::kManifest, c.manifest, sha512)), Content::kIndex);
         c.put_manifest(sha512, c.manifest, Content::kManifest);
       },
       "\"sha512\" is not supported"},
      {"no manifest", [](Content& c) { c.replies.erase("/v2/app/manifests/latest"); }, "HTTP status 404"},
      {"no config", [](Content& c) { c.replies.erase("/v2/app/blobs/" + digest_of(c.config)); }, "HTTP status 404"},
      {"another config", [](Content& c) { c.replies["/v2/app/blobs/" + digest_of(c.config)] = http_reply(200, std::string(c.config.size(), ' ')); },
       "does not have the digest"},
      {"no second layer", [](Content& c) { c.replies.erase("/v2/app/blobs/" + digest_of(c.layers[1])); }, "HTTP status 404"},
      {"another second layer",
       [](Content& c) { c.replies["/v2/app/blobs/" + digest_of(c.layers[1])] = http_reply(200, std::string(c.layers[1].size(), '\0')); },
       "digest is"},
      {"a longer second layer", [](Content& c) { c.replies["/v2/app/blobs/" + digest_of(c.layers[1])] = http_reply(200, c.layers[1] + "x"); },
       "larger than its descriptor says"},
      {"an image of another system",
       [](Content& c) {
         c.config.replace(c.config.find("linux"), 5, "plan9");
         c.put_blob(c.config);
         c.put_manifest("latest", format_text(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}})", Content::kManifest,
                                              descriptor("application/vnd.oci.image.config.v1+json", c.config),
                                              descriptor(Content::kLayer, c.layers[0]), descriptor(Content::kLayer, c.layers[1])),
                        Content::kManifest);
       },
       "the image is for plan9/amd64"},
      {"more layers than overlayfs can mount",
       [](Content& c) {
         std::string diff_ids;
         std::string descriptors;
         for (int i = 0; i < 501; ++i) {
           diff_ids += format_text("{}\"{}\"", i == 0 ? "" : ",", digest_of(c.layers[0]));
           descriptors += (i == 0 ? "" : ",") + descriptor(Content::kLayer, c.layers[0]);
         }
         c.config = format_text(R"({{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":[{}]}}}})", diff_ids);
         c.put_blob(c.config);
         c.put_manifest("latest", format_text(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", Content::kManifest,
                                              descriptor("application/vnd.oci.image.config.v1+json", c.config), descriptors),
                        Content::kManifest);
       },
       "the image has 501 layers"},
  };
}

}  // namespace

TEST_CASE("pull: a failure before any step leaves nothing, and the next pull brings the whole image") {
  HUSK_NEEDS_ROOT();
  const Content content;
  HttpServer server{content.handler()};
  for (const auto failing : kSteps) {
    CAPTURE(static_cast<int>(failing));
    TmpfsDir temporary;
    Bed bed{temporary / "store"};
    std::vector<PullStep> reached;
    bool armed = true;
    Puller puller{*bed.layers, bed.store, options(temporary / "store"), [&](PullStep step) -> Status {
                    reached.push_back(step);
                    if (armed && step == failing) return Error{Kind::exhausted, "made to fail"};
                    return ok();
                  }};
    const auto failed = puller.pull(reference(server), {});
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().kind() == Kind::exhausted);
    CHECK(reached.size() == static_cast<std::size_t>(failing) + 1);
    CHECK(reached.back() == failing);
    CHECK(what_is_left(bed) == "");
    armed = false;
    reached.clear();
    const auto id = puller.pull(reference(server), {});
    REQUIRE_OK(id);
    CHECK(id.value() == digest_of(content.config));
    CHECK(reached == std::vector<PullStep>(kSteps.begin(), kSteps.end()));
    check_whole(bed, temporary);
  }
}

TEST_CASE("pull: kill -9 before any step leaves nothing that the next one to open the store keeps") {
  HUSK_NEEDS_ROOT();
  const Content content;
  for (const auto last : kSteps) {
    CAPTURE(static_cast<int>(last));
    TmpfsDir temporary;
    const auto root = temporary / "store";
    const auto child = sys::clone3({});
    REQUIRE_OK(child);
    if (child.value().pid == 0) {
      HttpServer server{content.handler()};  // its thread must be the child's own
      Bed bed{root};
      Puller puller{*bed.layers, bed.store, options(root), [&](PullStep step) -> Status {
                      if (step == last) (void)::raise(SIGKILL);
                      return ok();
                    }};
      (void)puller.pull(reference(server), {});
      ::_exit(1);  // the step was never reached
    }
    const auto ended = sys::waitpid(child.value().pid);
    REQUIRE_OK(ended);
    REQUIRE(ended.value().signal == SIGKILL);
    REQUIRE_OK(open_tools({.root = root}));
    Bed bed{root};
    CHECK(what_is_left(bed) == "");
    HttpServer server{content.handler()};
    Puller puller{*bed.layers, bed.store, options(root)};
    REQUIRE_OK(puller.pull(reference(server), {}));
    check_whole(bed, temporary);
  }
}

TEST_CASE("pull: a registry that lies or breaks off: one clear error, nothing left, and the next pull is whole") {
  HUSK_NEEDS_ROOT();
  for (const auto& row : lies()) {
    CAPTURE(row.what);
    TmpfsDir temporary;
    Bed bed{temporary / "store"};
    Content content;
    row.spoil(content);
    {
      HttpServer server{content.handler()};
      Puller puller{*bed.layers, bed.store, options(temporary / "store")};
      const auto failed = puller.pull(reference(server), {});
      REQUIRE_FALSE(failed.has_value());
      const auto text = failed.error().to_string();
      CHECK_MESSAGE(text.find(row.expected) != std::string::npos, text);
      CHECK(what_is_left(bed) == "");
    }
    const Content good;
    HttpServer server{good.handler()};
    Puller puller{*bed.layers, bed.store, options(temporary / "store")};
    REQUIRE_OK(puller.pull(reference(server), {}));
    check_whole(bed, temporary);
  }
}

TEST_CASE("pull: a manifest without an index is not taken for a platform that it does not have") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  Content content;
  content.put_manifest("latest", content.manifest, Content::kManifest);
  HttpServer server{content.handler()};
  Puller puller{*bed.layers, bed.store, options(temporary / "store")};
  const auto other = puller.pull(reference(server), {.platform = "linux/s390x"});
  REQUIRE_FALSE(other.has_value());
  CHECK_MESSAGE(other.error().what().find("is for linux/amd64, not for linux/s390x") != std::string::npos, other.error().what());
  CHECK(what_is_left(bed) == "");
  CHECK_OK(puller.pull(reference(server), {.platform = "linux/amd64"}));
}

TEST_CASE("pull: when all fail, the error names what each mirror and the registry said") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  Content content;
  content.replies.clear();
  HttpServer mirror{content.handler()};
  auto store = options(temporary / "store");
  store.registries_conf = temporary / "registries.conf";
  REQUIRE_OK(write_atomically(AT_FDCWD, store.registries_conf,
                              format_text("[[registry]]\nlocation = \"127.0.0.1:1\"\n[[registry.mirror]]\nlocation = \"{}\"\n", mirror.address())));
  Puller puller{*bed.layers, bed.store, store};
  const auto failed = puller.pull("127.0.0.1:1/app:latest", {});
  REQUIRE_FALSE(failed.has_value());
  const auto text = failed.error().to_string();
  CHECK_MESSAGE(text.find(format_text("mirror {}: ", mirror.address())) != std::string::npos, text);
  CHECK_MESSAGE(text.find("HTTP status 404") != std::string::npos, text);
  CHECK_MESSAGE(text.find("from 127.0.0.1:1: ") != std::string::npos, text);
}

TEST_CASE("pull by a digest that cannot be verified is refused before anything is asked") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  Content content;
  const std::string digest = "sha512:" + std::string(128, 'a');
  content.put_manifest(digest, content.manifest, Content::kManifest);
  HttpServer server{content.handler()};
  Puller puller{*bed.layers, bed.store, options(temporary / "store")};
  const auto failed = puller.pull(server.address() + "/app@" + digest, {});
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().kind() == Kind::unsupported);
  CHECK(server.seen().empty());
  CHECK(what_is_left(bed) == "");
}

TEST_CASE("pull: callers of one reference share one download; one that is cancelled does not fail the others") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  const Content content;
  HttpServer server{content.handler()};
  std::atomic<bool> leave = false;
  std::atomic<int> rounds = 0;
  Puller puller{*bed.layers, bed.store, options(temporary / "store"), [&](PullStep step) -> Status {
                  if (step != PullStep::layers) return ok();
                  if (++rounds > 1) return ok();
                  // The first one's caller goes away while it is here; the others wait for it by then.
                  std::this_thread::sleep_for(std::chrono::milliseconds{200});
                  leave = true;
                  return Error{Kind::cancelled, "pull was cancelled"};
                }};
  std::vector<Result<std::string>> results(4, Error{Kind::internal, "not run"});
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] { results[i] = puller.pull(reference(server), {}); });
  for (auto& thread : threads) thread.join();
  CHECK(leave);
  CHECK(std::ranges::count_if(results, [](const auto& result) { return result.has_value(); }) == 3);
  CHECK(rounds == 2);
  check_whole(bed, temporary);
}
