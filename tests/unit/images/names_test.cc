// Entry names, users, configurations, bundle specs: the pure parts.
#include <cstdlib>

#include "base/root_dir.h"
#include "harness/harness.h"
#include "images/bundle_spec.h"
#include "images/config_edit.h"
#include "images/content_store.h"
#include "images/entry_path.h"
#include "images/image_user.h"
#include "images/layer_store.h"
#include "images/overlay_marks.h"
#include "oci-spec/parse_image.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

TEST_CASE("entry names: slashes and dots are taken away, \"..\" and long parts are refused") {
  struct Row {
    std::string name;
    std::string path;
  };
  for (const auto& row : {Row{"./a/b", "a/b"}, Row{"/a//b/", "a/b"}, Row{".", ""}, Row{"./", ""}, Row{"a/./b", "a/b"}, Row{"...", "..."}}) {
    CAPTURE(row.name);
    const auto parts = parse_entry_path(row.name, {});
    REQUIRE_OK(parts);
    CHECK(join_path(parts.value()) == row.path);
  }
  UnpackLimits limits;
  limits.max_depth = 3;
  for (const auto& name : {std::string{"../a"}, std::string{"a/../b"}, std::string{"a/.."}, std::string(256, 'x'), std::string{"a/b/c/d"},
                           std::string("a\0b", 3)})
    CHECK_FALSE(parse_entry_path(name, limits).has_value());
  CHECK(is_within("a/b", "a"));
  CHECK(is_within("a", "a"));
  CHECK_FALSE(is_within("ab", "a"));
  CHECK(is_within("x", ""));
}

TEST_CASE("CVE-2024-3727: a digest that is not one never becomes a path") {
  CHECK(digest_hex("sha256:" + std::string(64, 'a')).value() == std::string(64, 'a'));
  for (const auto& text : {std::string{"sha256:../../etc/passwd"}, "sha256:" + std::string(63, 'a'), "sha256:" + std::string(64, 'A'),
                           std::string{"sha256:"}, std::string{""}, "md5:" + std::string(32, 'a'), "sha256:" + std::string(62, 'a') + "/."})
    CHECK_FALSE(digest_hex(text).has_value());
}

TEST_CASE("image-spec config.md: chain ids of one, two and three layers") {
  const auto a = "sha256:" + std::string(64, 'a');
  const auto b = "sha256:" + std::string(64, 'b');
  CHECK(chain_id("", a).value() == a);
  // printf 'sha256:aa… sha256:bb…' | sha256sum
  const auto two = chain_id(a, b).value();
  CHECK(two == sha256_of(a + " " + b).value());
  CHECK(chain_id(two, a).value() == sha256_of(two + " " + a).value());
}

TEST_CASE("extended attributes of the host and of overlayfs do not pass") {
  for (const auto* name : {"trusted.overlay.opaque", "trusted.x", "user.overlay.redirect", "security.selinux", "security.evm", "system.nfs4_acl"})
    CHECK_FALSE(may_pass_xattr(name));
  for (const auto* name : {"user.a", "security.capability", "system.posix_acl_access", "security.ima", "user.overlayx"})
    CHECK(may_pass_xattr(name));
}

namespace {

struct UserFiles {
  TempDir dir;
  RootDir root = [this] {
    REQUIRE_OK(make_directories(dir / "etc"));
    REQUIRE_OK(write_atomically(AT_FDCWD, dir / "etc/passwd",
                                "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/srv/web:/bin/sh\n1000:x:5:5::/:/bin/sh\n"
                                "big:x:4294967296:0::/:/bin/sh\nme:x:1000:100::/home/me:/bin/sh\n"));
    REQUIRE_OK(write_atomically(AT_FDCWD, dir / "etc/group", "root:x:0:\nwww:x:80:web,me\nextra:x:50000:me\nusers:x:100:me\n"));
    return RootDir::open(dir.path()).value();
  }();
};

}  // namespace

TEST_CASE("image-spec config.md User: every form") {
  const UserFiles files;
  struct Row {
    std::string text;
    std::uint32_t uid;
    std::uint32_t gid;
    std::vector<std::uint32_t> more;
  };
  for (const auto& row : {Row{"", 0, 0, {}}, Row{"root", 0, 0, {}}, Row{"web", 33, 33, {80}}, Row{"33", 33, 33, {80}}, Row{"web:users", 33, 100, {}},
                          Row{"web:7", 33, 7, {}}, Row{"12345", 12345, 0, {}}, Row{"12345:www", 12345, 80, {}}, Row{"me", 1000, 100, {80, 50000}},
                          Row{"4294967294:4294967294", 4294967294U, 4294967294U, {}}}) {
    CAPTURE(row.text);
    const auto user = resolve_user(files.root, row.text);
    REQUIRE_OK(user);
    CHECK(user.value().uid == row.uid);
    CHECK(user.value().gid == row.gid);
    CHECK(user.value().additional_gids == row.more);
  }
  CHECK(resolve_user(files.root, "web").value().home == "/srv/web");
}

TEST_CASE("CVE-2026-46680, CVE-2024-40635: a number is never a name, and never wraps") {
  const UserFiles files;
  CHECK(resolve_user(files.root, "1000").value().uid == 1000);
  for (const auto* text : {"4294967295", "4294967296", "18446744073709551616", "nobody", "web:nogroup", "-1", "big"}) {
    CAPTURE(text);
    CHECK_FALSE(resolve_user(files.root, text).has_value());
  }
}

TEST_CASE("CVE-2024-9676: a passwd file that leads out of the image or is no file") {
  TempDir dir;
  REQUIRE_OK(make_directories(dir / "etc"));
  REQUIRE_OK(sys::symlinkat("/../../../../etc/passwd", AT_FDCWD, dir / "etc/passwd"));
  const auto root = RootDir::open(dir.path()).value();
  CHECK_FALSE(resolve_user(root, "daemon").has_value());
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, dir / "etc/passwd"));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, dir / "etc/passwd", 0644));
  CHECK(resolve_user(root, "0").error().kind() == Kind::invalid);  // and it did not wait
}

TEST_CASE("config edits keep what they do not touch") {
  const std::string base = R"({"architecture":"amd64","os":"linux","x-unknown":{"a":1},"config":{"Env":["PATH=/bin","A=1"],"Cmd":["old"],)"
                           R"("Healthcheck":{"Test":["NONE"]},"Labels":{"k":"v"}},"rootfs":{"type":"layers","diff_ids":["sha256:)" +
                           std::string(64, 'a') + R"("]},"history":[{"created_by":"base"}]})";
  ConfigChanges changes{.env = {"A=2", "B=3"}, .user = "web", .exposed_ports = {"80/tcp"}, .labels = {{"new", "label"}}};
  changes.entrypoint = std::vector<std::string>{"/bin/app"};
  const auto text = edit_config(base, changes, "sha256:" + std::string(64, 'b'), "2026-01-02T03:04:05Z", {.created_by = "me"});
  REQUIRE_OK(text);
  const auto config = oci::parse_image_config(text.value());
  REQUIRE_OK(config);
  CHECK(config.value().config.env == std::vector<std::string>{"PATH=/bin", "A=2", "B=3"});
  CHECK(config.value().config.entrypoint == std::vector<std::string>{"/bin/app"});
  CHECK(config.value().config.cmd.empty());
  CHECK(config.value().config.user == "web");
  CHECK(config.value().diff_ids.size() == 2);
  REQUIRE(config.value().history.size() == 2);
  CHECK_FALSE(config.value().history[1].empty_layer);
  for (const auto* kept : {"x-unknown", "Healthcheck", "\"k\":\"v\""}) CHECK(text.value().find(kept) != std::string::npos);
  const auto no_layer = edit_config(base, {}, "", "2026-01-02T03:04:05Z", {.created_by = "me"});
  CHECK(oci::parse_image_config(no_layer.value()).value().history[1].empty_layer);
}

TEST_CASE("SOURCE_DATE_EPOCH is taken, and refused when it is no time") {
  ::setenv("SOURCE_DATE_EPOCH", "86400", 1);
  CHECK(created_text(source_date_epoch().value()) == "1970-01-02T00:00:00.000000000Z");
  ::setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
  CHECK_FALSE(source_date_epoch().has_value());
  ::unsetenv("SOURCE_DATE_EPOCH");
  CHECK_FALSE(source_date_epoch().value().has_value());
}

TEST_CASE("image-spec conversion.md: arguments, environment, user and directory of a bundle") {
  ImageConfig image{.env = {"PATH=/x", "A=1"}, .entrypoint = {"/entry"}, .cmd = {"arg"}, .working_dir = "/srv"};
  const ImageUser user{.uid = 33, .gid = 34, .additional_gids = {80}, .home = "/home/web"};
  auto spec = make_bundle_spec(image, user, {.env = {"A=2"}, .hostname = "box"}, "/files");
  REQUIRE_OK(spec);
  const auto& process = *spec.value().process;
  CHECK(process.args == std::vector<std::string>{"/entry", "arg"});
  CHECK(process.env == std::vector<std::string>{"PATH=/x", "A=2", "HOME=/home/web", "HOSTNAME=box"});
  CHECK(process.cwd == "/srv");
  CHECK(process.user.uid == 33);
  CHECK(process.capabilities->effective.empty());
  CHECK(process.capabilities->bounding.size() == 11);
  CHECK(make_bundle_spec(image, {}, {.command = {"other"}}, "/f").value().process->args == std::vector<std::string>{"/entry", "other"});
  BundleRequest request;
  request.entrypoint = std::vector<std::string>{"/mine"};
  CHECK(make_bundle_spec(image, {}, request, "/f").value().process->args == std::vector<std::string>{"/mine"});
  CHECK(error_text(make_bundle_spec({}, {}, {}, "/f")).find("names no command") != std::string::npos);
  CHECK(make_bundle_spec(image, {}, {.network = BundleNetwork::host}, "/f").value().find_namespace(oci::NamespaceType::network) == nullptr);
}

TEST_CASE("volumes: HOST:INSIDE[:OPTIONS], both absolute") {
  CHECK(parse_volume("/a:/b:ro").value().options.back() == "ro");
  for (const auto* text : {"/a", "a:/b", "/a:b", "/a:/", "/a:/b:nonsense", "/a:/b:ro:x", ""}) CHECK_FALSE(parse_volume(text).has_value());
}
