// Every form of image that import takes; umoci and skopeo make them and say what they hold.
#include "bed.h"

#include "base/process.h"
#include "images/archive.h"
#include "images/import.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

std::string write(const std::string& path, const std::string& text) {
  REQUIRE_OK(make_directories(path.substr(0, path.rfind('/'))));
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
  return path;
}

bool has_tool(const std::string& name) { return path_exists("/usr/bin/" + name); }
#define HUSK_NEEDS_TOOLS() \
  HUSK_NEEDS_ROOT();       \
  if (!has_tool("skopeo") || !has_tool("umoci")) HUSK_SKIP("skopeo and umoci are not installed")

void tool(const std::vector<std::string>& words) {
  auto result = run({.path = "/usr/bin/" + words[0], .arguments = words}, 60'000);
  REQUIRE_OK(result);
  const auto story = format_text("{} {}: {}", words[0], words[1], result.value().err);
  REQUIRE_MESSAGE(result.value().status.success(), story);
}

// An OCI layout of these layers, made by umoci.
std::string make_layout(const TmpfsDir& dir, const std::vector<std::string>& layers) {
  const auto layout = dir / "layout";
  tool({"umoci", "init", "--layout", layout});
  tool({"umoci", "new", "--image", layout + ":v1"});
  for (std::size_t i = 0; i < layers.size(); ++i)
    tool({"umoci", "raw", "add-layer", "--image", layout + ":v1", write(dir / format_text("{}.tar", i), tar_of(layers[i]))});
  tool({"umoci", "config", "--image", layout + ":v1", "--config.cmd", "/bin/app", "--config.env", "A=1", "--config.user", "7:8"});
  return layout;
}

std::unique_ptr<ImageTools> open_store(const std::string& root) {
  own_mounts();
  auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  return std::move(store).value();
}

Tree tree_of(ImageTools& store, const std::string& id) {
  const auto path = store.mount_image(id, "view");
  REQUIRE_OK(path);
  auto tree = describe(path.value());
  REQUIRE_OK(store.unmount_image("view"));
  return tree;
}

std::string failure(ImageTools& store, const std::string& path, const std::string& name = "x") {
  const auto id = store.import(path, name);
  CHECK(store.list().value().empty());
  CHECK(store.usage().value().used_bytes == 0);
  return error_text(id);
}

const std::vector<std::string> kLayers{
    directory("etc") + file("etc/passwd", "root:x:0:0::/:/bin/sh\n") + directory("d", 0711) + file("d/a", "1", 04755) + file("d/b", "2") +
        hard_link("d/c", "d/b") + soft_link("link", "d/a") + directory("gone") + file("gone/x", "3"),
    directory("d", 0711) + file("d/.wh.a") + file("d/new", "4") + file(".wh.gone"),
    directory("e") + directory("d", 0700) + file("d/.wh..wh..opq") + file("d/only", "5") + soft_link("e/l", "../d")};

}  // namespace

TEST_CASE("image-layout.md: a layout made by umoci, as directory, tar and compressed tar, shows what umoci unpacks") {
  HUSK_NEEDS_TOOLS();
  TmpfsDir dir;
  const auto layout = make_layout(dir, kLayers);
  tool({"umoci", "unpack", "--image", layout + ":v1", dir / "bundle"});
  tool({"skopeo", "copy", "oci:" + layout + ":v1", "oci-archive:" + (dir / "oci.tar") + ":v1"});
  REQUIRE(run({.path = "/bin/gzip", .arguments = {"gzip", "-k", dir / "oci.tar"}}).value().status.success());
  const auto wanted = describe(dir / "bundle/rootfs");
  CHECK(wanted.size() == 7);
  std::string id;
  for (const auto& path : {layout, dir / "oci.tar", dir / "oci.tar.gz"}) {
    CAPTURE(path);
    const auto store = open_store(dir / "store");
    const auto imported = store->import(path, "example.com/app:v1");
    REQUIRE_OK(imported);
    CHECK((id.empty() || id == imported.value()));  // the same bytes, so the same id
    id = imported.value();
    CHECK(tree_of(*store, id) == wanted);
    const auto image = store->find("example.com/app:v1").value();
    CHECK(image->config.cmd == std::vector<std::string>{"/bin/app"});
    CHECK(image->config.user == "7:8");
    CHECK_OK(store->remove(id));
  }
}

TEST_CASE("docker-archive made by skopeo: the same tree; layers in the store are not unpacked twice") {
  HUSK_NEEDS_TOOLS();
  TmpfsDir dir;
  const auto layout = make_layout(dir, kLayers);
  tool({"skopeo", "copy", "oci:" + layout + ":v1", "docker-archive:" + (dir / "docker.tar") + ":example.com/app:v1"});
  const auto store = open_store(dir / "store");
  const auto from_layout = store->import(layout, "one").value();
  const auto from_docker = store->import(dir / "docker.tar", "two");
  REQUIRE_OK(from_docker);
  CHECK(tree_of(*store, from_docker.value()) == tree_of(*store, from_layout));
  CHECK(store->find("one").value()->layer_chain_ids == store->find("two").value()->layer_chain_ids);
  CHECK_OK(store->untag("one"));  // the same configuration, so one image with two names
  CHECK(tree_of(*store, from_docker.value()).contains("d/only"));
}

TEST_CASE("zstd layers, as skopeo writes them") {
  HUSK_NEEDS_TOOLS();
  TmpfsDir dir;
  const auto layout = make_layout(dir, kLayers);
  tool({"skopeo", "copy", "--dest-compress", "--dest-compress-format", "zstd", "oci:" + layout + ":v1", "oci:" + (dir / "zstd") + ":v1"});
  const auto store = open_store(dir / "store");
  const auto id = store->import(dir / "zstd", "app");
  REQUIRE_OK(id);
  CHECK(store->config_text(id.value()).value().find("diff_ids") != std::string::npos);
  CHECK(tree_of(*store, id.value()).at("d/only") == "f 644 0:0 5");
}

TEST_CASE("a commit of ours is what umoci and skopeo read: pushed through a layout built from the store") {
  HUSK_NEEDS_TOOLS();
  TmpfsDir dir;
  const auto store = open_store(dir / "store");
  const auto id = store->import(make_layout(dir, kLayers), "app").value();
  const auto root = store->prepare_container("c", id).value().path;
  write(root + "/d/added", "new");
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, root + "/d/only"));
  REQUIRE_OK(remove_tree(AT_FDCWD, root + "/e"));
  REQUIRE_OK(make_directories(root + "/e/again"));
  const auto committed = store->commit("c", "app:2");
  REQUIRE_OK(committed);
  const auto wanted = tree_of(*store, committed.value());
  // The newest blob is the commit's layer: umoci applies it over its own unpacking of the base.
  Bed bed{dir / "store"};
  const auto manifest = bed.store.manifest_text(committed.value()).value();
  const auto base = load_base(bed.store, committed.value()).value();
  const auto layout = dir / "out";
  for (const auto& source : base.sources)
    write(layout + "/blobs/sha256/" + digest_hex(source.digest).value(), bed.content.read_blob(source.digest, 1U << 24U).value());
  write(layout + "/blobs/sha256/" + digest_hex(committed.value()).value(), base.config);
  const auto manifest_digest = sha256_of(manifest).value();
  write(layout + "/blobs/sha256/" + digest_hex(manifest_digest).value(), manifest);
  write(layout + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  write(layout + "/index.json", format_text(R"({{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                                            R"("digest":"{}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"v2"}}}}]}})",
                                            manifest_digest, manifest.size()));
  tool({"umoci", "unpack", "--image", layout + ":v2", dir / "bundle"});
  CHECK(describe(dir / "bundle/rootfs") == wanted);
}

TEST_CASE("a root file system tar, plain or compressed, becomes one layer") {
  HUSK_NEEDS_ROOT();
  TmpfsDir dir;
  const auto store = open_store(dir / "store");
  const auto tar = tar_of(directory("./") + directory("./bin", 0711) + file("./bin/app", "x", 0755) + soft_link("./sh", "bin/app"));
  write(dir / "root.tar", tar);
  std::string packed;
  GzipWriter gzip{[&](std::string_view bytes) {
    packed.append(bytes);
    return ok();
  }};
  REQUIRE_OK(gzip.write(tar));
  REQUIRE_OK(gzip.finish());
  write(dir / "root.tar.gz", packed);
  for (const auto* name : {"root.tar", "root.tar.gz"}) {
    const auto id = store->import(dir / name, "rootfs");
    REQUIRE_OK(id);
    CHECK(tree_of(*store, id.value()) == Tree{{"bin", "d 711 0:0"}, {"bin/app", "f 755 0:0 x"}, {"sh", "l bin/app"}});
  }
}

TEST_CASE("docker-archive by hand: members in any order, layers as symlinks, several images, short files") {
  HUSK_NEEDS_ROOT();
  TmpfsDir dir;
  const auto layer = tar_of(file("a", "1"));
  const auto config = format_text(R"({{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{0}","{0}"]}}}})",
                                  sha256_of(layer).value());
  const auto manifest = R"([{"Config":"c.json","RepoTags":["app:1"],"Layers":["one/layer.tar","two/layer.tar"]}])";
  const auto parts = file("one/layer.tar", layer) + directory("two") + soft_link("two/layer.tar", "../one/layer.tar");
  const auto store = open_store(dir / "store");
  const auto good = store->import(write(dir / "a.tar", tar_of(file("c.json", config) + parts + file("manifest.json", manifest))), "app");
  REQUIRE_OK(good);
  CHECK(tree_of(*store, good.value()) == Tree{{"a", "f 644 0:0 1"}});
  CHECK_OK(store->remove("app"));
  const auto with = [&](const std::string& text) { return write(dir / "b.tar", tar_of(file("manifest.json", text) + file("c.json", config) + parts)); };
  const auto two = R"([{"Config":"c.json","RepoTags":["app:1"],"Layers":["one/layer.tar","two/layer.tar"]},)"
                   R"({"Config":"c.json","RepoTags":["app:2"],"Layers":["one/layer.tar","two/layer.tar"]}])";
  REQUIRE_OK(store->import(with(two), "app:2"));
  CHECK_OK(store->remove("app:2"));
  CHECK(failure(*store, with(two), "other").find("docker.io/library/app") == std::string::npos);
  CHECK(failure(*store, with(two), "other").find("give one of their names: app:1, app:2") != std::string::npos);
  CHECK(failure(*store, with("[]")).find("lists no image") != std::string::npos);
  CHECK(failure(*store, with("{")).find("manifest.json") != std::string::npos);
  CHECK(failure(*store, with(R"([{"Config":"c.json","Layers":["one/layer.tar"]}])")).find("names 1 layers, the config 2") != std::string::npos);
  CHECK(failure(*store, with(R"([{"Config":"../../etc/passwd","Layers":[]}])")).find("no file") != std::string::npos);
  CHECK(failure(*store, with(R"([{"Config":"c.json","Layers":["one/layer.tar","/etc/passwd"]}])")).find("no file") != std::string::npos);
  const auto wrong = format_text(R"({{"rootfs":{{"type":"layers","diff_ids":["sha256:{0}"]}},"os":"linux","architecture":"amd64"}})", std::string(64, '1'));
  CHECK(failure(*store, write(dir / "w.tar", tar_of(file("manifest.json", R"([{"Config":"c.json","Layers":["l"]}])") + file("c.json", wrong) + file("l", layer))))
            .find("the image's config says") != std::string::npos);
}

TEST_CASE("CVE-2020-1702, CVE-2023-25153: oversized texts in archives are refused before they fill memory") {
  HUSK_NEEDS_ROOT();
  TmpfsDir dir;
  const auto store = open_store(dir / "store");
  const auto huge = file("manifest.json", "[" + std::string(5U << 20U, ' ') + "]");
  CHECK(failure(*store, write(dir / "a.tar", tar_of(huge))).find("larger than 4194304 bytes") != std::string::npos);
}

TEST_CASE("OCI layouts that lie: wrong digests, wrong sizes, links out, no image for us") {
  HUSK_NEEDS_ROOT();
  TmpfsDir dir;
  const auto store = open_store(dir / "store");
  const auto index = [&](const std::string& digest, const std::string& more = "") {
    write(dir / "l/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write(dir / "l/index.json", format_text(R"({{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                                            R"("digest":"{}","size":2{}}}]}})",
                                            digest, more));
    return dir / "l";
  };
  const auto digest = "sha256:" + std::string(64, 'a');
  CHECK(failure(*store, index(digest)).find("No such file") != std::string::npos);
  write(dir / "l/blobs/sha256/" + std::string(64, 'a'), "{}");
  CHECK(failure(*store, index(digest)).find("has the digest") != std::string::npos);
  CHECK(failure(*store, index("sha256:../../../../../etc/passwd")).find("digest") != std::string::npos);
  CHECK(failure(*store, index(digest, R"(,"platform":{"os":"plan9","architecture":"amd64"})")).find("offers plan9/amd64") != std::string::npos);
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, dir / ("l/blobs/sha256/" + std::string(64, 'a'))));
  REQUIRE_OK(sys::symlinkat("/etc/passwd", AT_FDCWD, dir / ("l/blobs/sha256/" + std::string(64, 'a'))));
  CHECK(failure(*store, index(digest)).find("root:") == std::string::npos);
  write(dir / "l/index.json", R"({"schemaVersion":2,"manifests":[],"layers":[],"config":{}})");
  CHECK(failure(*store, dir / "l") != "success");  // CVE-2021-41190: both kinds at once
}

TEST_CASE("import refuses what is no image, with a hint") {
  HUSK_NEEDS_ROOT();
  TmpfsDir dir;
  const auto store = open_store(dir / "store");
  CHECK(failure(*store, write(dir / "text", std::string(2000, 'x'))).find("is no tar archive") != std::string::npos);
  CHECK(failure(*store, dir / "nothing").find("hint:") != std::string::npos);
  CHECK(failure(*store, write(dir / "t.tar", tar_of(file("a"))), "Bad Name") != "success");
  CHECK(failure(*store, dir / "t.tar", "a@sha256:" + std::string(64, 'a')).find("names a digest") != std::string::npos);
  write(dir / "tree/.wh.x", "");
  CHECK(failure(*store, dir / "tree").find("reserved") != std::string::npos);
}
