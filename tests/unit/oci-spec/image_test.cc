#include "harness/harness.h"
#include "oci-spec/parse_image.h"

namespace husk::oci {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

std::string descriptor(std::string_view type) {
  return format_text(R"({{"mediaType":"{}","digest":"{}","size":7}})", type, kDigest);
}

std::string manifest_text(std::string_view extra = "") {
  return format_text(R"({{"schemaVersion":2,{}"config":{},"layers":[{}]}})", extra, descriptor(media_type::kConfig),
                     descriptor(media_type::kLayerGzip));
}

std::string index_text(std::string_view extra = "") {
  return format_text(R"({{"schemaVersion":2,{}"manifests":[{}]}})", extra, descriptor(media_type::kManifest));
}

template <class T>
void check_refused(const Result<T>& result, std::string_view part, Kind kind = Kind::invalid) {
  const auto text = husk::test::error_text(result);
  CAPTURE(text);
  REQUIRE_FALSE(result.has_value());
  CHECK(text.find(part) != std::string::npos);
  CHECK(result.error().kind() == kind);
}

TEST_CASE("descriptor.md#digests: sha256 and sha512, nothing that could leave a directory (CVE-2024-3727)") {
  const auto digest = Digest::parse(kDigest);
  REQUIRE_OK(digest);
  CHECK(digest.value().algorithm() == "sha256");
  CHECK(digest.value().hex() == kHex);
  const auto long_digest = Digest::parse("sha512:" + std::string(128, '0'));
  REQUIRE_OK(long_digest);
  CHECK(long_digest.value().hex().size() == 128);
  for (const std::string& text : std::vector<std::string>
       {"", "sha256", "sha256:", ":" + kHex, "sha256:../../../etc/passwd",
        "sha256:" + std::string(63, 'a') + "/", "sha256:" + std::string(64, 'A'), kDigest + "a", kDigest + "\n",
        "sha256:" + std::string(63, 'a'), "SHA256:" + kHex, "sha256 :" + kHex, "../sha256:" + kHex, "sha256:" + kHex + ":x",
        "sha256+:" + kHex, "+sha256:" + kHex, kDigest + std::string(1, '\0')}) {
    CAPTURE(text);
    check_refused(Digest::parse(text), "digest");
  }
}

TEST_CASE("descriptor.md#digests: another algorithm is unsupported, not malformed") {
  check_refused(Digest::parse("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8"), "only sha256", Kind::unsupported);
  check_refused(Digest::parse("blake3:" + kHex), "only sha256", Kind::unsupported);
}

TEST_CASE("manifest.md: OCI and Docker manifests, with and without the registry's word") {
  const auto plain = parse_manifest(manifest_text());
  REQUIRE_OK(plain);
  CHECK(plain.value().media_type == media_type::kManifest);
  CHECK(plain.value().config.digest.text() == kDigest);
  CHECK(plain.value().layers.at(0).size == 7);
  const auto docker = format_text(R"("mediaType":"{}",)", media_type::kDockerManifest);
  CHECK_OK(parse_manifest(manifest_text(docker), media_type::kDockerManifest));
  CHECK_OK(parse_manifest(manifest_text(docker), "application/json"));
  CHECK_OK(parse_manifest(manifest_text(), "Application/vnd.oci.image.manifest.v1+JSON; charset=utf-8"));
  CHECK(parse_manifest(manifest_text(), media_type::kDockerManifest).value().media_type == media_type::kDockerManifest);
}

TEST_CASE("CVE-2021-41190: a text that can be two kinds, or contradicts its name, is refused") {
  const auto as_index = format_text(R"("mediaType":"{}",)", media_type::kIndex);
  const auto as_manifest = format_text(R"("mediaType":"{}",)", media_type::kManifest);
  check_refused(parse_manifest_or_index(manifest_text(R"("manifests":[],)")), "two kinds");
  check_refused(parse_manifest_or_index(index_text(R"("layers":[],)")), "two kinds");
  check_refused(parse_manifest_or_index(index_text(R"("config":{},)")), "two kinds");
  check_refused(parse_manifest_or_index(manifest_text(R"("fsLayers":[],)")), "two kinds");
  check_refused(parse_manifest_or_index(manifest_text(as_index)), "members of another kind");
  check_refused(parse_manifest_or_index(index_text(as_manifest)), "members of another kind");
  check_refused(parse_manifest_or_index(manifest_text(), media_type::kIndex), "members of another kind");
  check_refused(parse_manifest_or_index(manifest_text(as_manifest), media_type::kIndex), "but the registry said");
  check_refused(parse_manifest_or_index(manifest_text(as_manifest), media_type::kDockerManifest), "but the registry said");
  check_refused(parse_manifest_or_index(manifest_text(R"("schemaVersion":2,)")), "duplicate key");
}

TEST_CASE("Docker schema 1 and foreign documents are unsupported") {
  check_refused(parse_manifest_or_index(R"({"schemaVersion":1,"name":"x","fsLayers":[]})"), "schema 1", Kind::unsupported);
  check_refused(parse_manifest_or_index(manifest_text(), "application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1",
                Kind::unsupported);
  check_refused(parse_manifest_or_index(manifest_text(R"("mediaType":"application/vnd.x+json",)")), "no image manifest", Kind::unsupported);
}

TEST_CASE("manifest.md: what is required must be there") {
  check_refused(parse_manifest(R"({"mediaType":"x"})"), "schemaVersion");
  check_refused(parse_manifest(R"({"schemaVersion":3,"config":{},"layers":[]})"), "/schemaVersion");
  check_refused(parse_manifest(R"({"schemaVersion":"2"})"), "/schemaVersion");
  check_refused(parse_manifest(R"({"schemaVersion":2,"layers":[]})"), "\"config\" is missing");
  check_refused(parse_manifest(format_text(R"({{"schemaVersion":2,"config":{}}})", descriptor("x"))), "\"layers\" is missing");
  check_refused(parse_manifest(index_text()), "is an index");
  check_refused(parse_index(manifest_text()), "manifest of one image");
}

TEST_CASE("descriptor.md#properties: size is a number from 0 to 2^63-1, digest and mediaType are required") {
  const auto with = [](std::string_view config) {
    return parse_manifest(format_text(R"({{"schemaVersion":2,"config":{},"layers":[]}})", config));
  };
  CHECK_OK(with(format_text(R"({{"mediaType":"x","digest":"{}","size":9223372036854775807}})", kDigest)));
  for (const auto* size : {"-1", "9223372036854775808", "1.5", "\"7\"", "null", "1e3"}) {
    CAPTURE(size);
    check_refused(with(format_text(R"({{"mediaType":"x","digest":"{}","size":{}}})", kDigest, size)), "size");
  }
  check_refused(with(R"({"mediaType":"x","size":1})"), "\"digest\" is missing");
  check_refused(with(R"({"mediaType":"x","digest":"sha256:../x","size":1})"), "/config/digest");
  check_refused(with(format_text(R"({{"digest":"{}","size":1}})", kDigest)), "\"mediaType\" is missing");
}

TEST_CASE("manifest.md: an unknown media type or artifactType is no error when reading") {
  const auto text = format_text(R"({{"schemaVersion":2,"artifactType":"application/x","config":{},"layers":[{}],"subject":{}}})",
                                descriptor(media_type::kEmpty), descriptor("text/spdx"), descriptor(media_type::kManifest));
  const auto manifest = parse_manifest(text);
  REQUIRE_OK(manifest);
  CHECK(manifest.value().artifact_type == "application/x");
  CHECK(manifest.value().subject.has_value());
  CHECK_FALSE(find_layer_type(manifest.value().layers.at(0).media_type).has_value());
}

TEST_CASE("image-index.md: entries keep their order; one with an unknown digest algorithm is passed over") {
  const auto text = format_text(R"({{"schemaVersion":2,"manifests":[
    {{"mediaType":"a","digest":"blake3:{}","size":1}},
    {{"mediaType":"b","digest":"{}","size":1,"platform":{{"architecture":"arm","os":"linux","variant":"v7","os.features":["x"]}}}},
    {{"mediaType":"c","digest":"{}","size":2}}]}})", kHex, kDigest, kDigest);
  const auto index = parse_index(text);
  REQUIRE_OK(index);
  REQUIRE(index.value().manifests.size() == 2);
  CHECK(index.value().manifests.at(0).platform->variant == "v7");
  CHECK(index.value().manifests.at(1).media_type == "c");
  check_refused(parse_index(R"({"schemaVersion":2,"manifests":[{"mediaType":"b","digest":"sha256:x","size":1}]})"), "/manifests/0/digest");
}

TEST_CASE("layer.md, media-types.md: compression and distribution by media type") {
  CHECK(find_layer_type(media_type::kLayer)->compression == Compression::none);
  CHECK(find_layer_type(media_type::kDockerLayerGzip)->compression == Compression::gzip);
  CHECK(find_layer_type(media_type::kLayerZstd)->compression == Compression::zstd);
  CHECK_FALSE(find_layer_type("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")->distributable);
  CHECK_FALSE(find_layer_type("application/vnd.oci.image.layer.v1.tar+xz").has_value());
}

constexpr std::string_view kConfigText = R"({"created":"2026-01-02T03:04:05Z","author":"a","architecture":"amd64","os":"linux",
  "config":{"User":"1000:100","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":["PATH=/bin"],"Entrypoint":["/x"],"Cmd":["-v"],
  "Volumes":{"/data":{}},"WorkingDir":"/w","Labels":{"k":"v"},"StopSignal":"SIGINT","Shell":["/bin/sh","-c"],
  "OnBuild":null,"Healthcheck":{"Test":["CMD","true"],"Interval":30000000000},"Memory":0},
  "rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]},
  "history":[{"created_by":"ADD x","empty_layer":false},{"created_by":"CMD","empty_layer":true,"comment":"c"}],"docker_version":"1"})";

TEST_CASE("config.md#properties: an image configuration survives parse and write") {
  const auto config = parse_image_config(kConfigText);
  REQUIRE_OK(config);
  CHECK(config.value().config.exposed_ports == std::vector<std::string>{"80/tcp", "53/udp"});
  CHECK(config.value().config.volumes.at(0) == "/data");
  CHECK(config.value().history.at(1).empty_layer);
  const auto text = write_image_config(config.value());
  const auto again = parse_image_config(text);
  REQUIRE_OK(again);
  CHECK(write_image_config(again.value()) == text);
  CHECK(text.find(R"("Healthcheck":{"Test":["CMD","true"],"Interval":30000000000})") != std::string::npos);
}

TEST_CASE("config.md#properties: rootfs.type is layers, platform and diff_ids are required, config may be null") {
  CHECK_OK(parse_image_config(R"({"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":[]}})"));
  check_refused(parse_image_config(R"({"os":"linux","rootfs":{"type":"layers","diff_ids":[]}})"), "are required");
  check_refused(parse_image_config(R"({"architecture":"amd64","os":"linux"})"), "\"rootfs\" is missing");
  check_refused(parse_image_config(R"({"architecture":"a","os":"l","rootfs":{"type":"snap","diff_ids":[]}})"), "must be \"layers\"");
  check_refused(parse_image_config(R"({"architecture":"a","os":"l","rootfs":{"type":"layers","diff_ids":["sha256:.."]}})"), "/rootfs/diff_ids/0");
  check_refused(parse_image_config(R"({"architecture":"a","os":"l","config":{"User":1000},"rootfs":{"type":"layers","diff_ids":[]}})"),
                "\"/config/User\": must be a string");
}

TEST_CASE("config.md#properties: as many diff_ids as layers") {
  const auto config = parse_image_config(kConfigText);
  auto manifest = parse_manifest(manifest_text());
  REQUIRE_OK(config);
  REQUIRE_OK(manifest);
  CHECK_OK(check_image_pair(manifest.value(), config.value()));
  manifest.value().layers.push_back(manifest.value().layers.front());
  check_refused(check_image_pair(manifest.value(), config.value()), "2 layers but the config 1");
}

TEST_CASE("documents are bounded to 4 MiB (CVE-2020-1702)") {
  check_refused(parse_manifest(std::string((4U << 20U) + 1, ' ')), "larger than 4194304");
  check_refused(parse_image_config(std::string((4U << 20U) + 1, ' ')), "larger than 4194304");
}

TEST_CASE("equal manifests and indexes are written as equal bytes and are read back") {
  const auto manifest = parse_manifest(manifest_text());
  REQUIRE_OK(manifest);
  const auto text = write_manifest(manifest.value());
  CHECK(write_manifest(parse_manifest(text).value()) == text);
  CHECK(text.starts_with(R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{)"));
  const auto index = parse_index(index_text());
  REQUIRE_OK(index);
  const auto index_out = write_index(index.value());
  CHECK(write_index(parse_index(index_out).value()) == index_out);
}

}  // namespace
}  // namespace husk::oci
