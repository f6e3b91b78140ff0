// copy-symlink, src-nofollow and dest-nofollow: links as sources and as destinations of bind mounts.
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>

#include "base/file.h"
#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string link_at(const std::string& path) {
  const auto target = sys::readlinkat(AT_FDCWD, path);
  return target.has_value() ? target.value() : "no link";
}

// Is `path` itself a mount? A link is not followed.
bool is_mounted(const std::string& path) {
  const auto root = sys::is_mount_root(AT_FDCWD, path);
  return root.has_value() && root.value();
}

long type_of(const std::string& path) {
  const auto fd = sys::openat(AT_FDCWD, path, O_PATH);
  const auto info = fd.has_value() ? sys::fstatfs(fd.value().get()) : fd.error();
  return info.has_value() ? info.value().f_type : 0;
}

// A directory of the host's with a file, a directory and links to both and to nowhere.
struct Scene : Bundle {
  Scene() {
    host_dir("host/dir");
    host_file("host/file", "file");
    host_file("host/dir/inner", "inner");
    for (const auto& [name, target] : {std::pair{"link", "file"}, {"dirlink", "dir"}, {"nowhere", "/no/where"}})
      REQUIRE_OK(sys::symlinkat(target, AT_FDCWD, host(name)));
    image_file("/t/file", "image");
    image_dir("/t/dir");
    image_link("/t/filelink", "file");
    image_link("/t/dirlink", "dir");
    image_link("/t/dangling", "missing");
  }
  std::string host(const std::string& name) const { return dir / "host/" + name; }
  Scene& with(const std::string& source, const std::string& destination, const std::string& option) {
    bind(host(source), destination, {"bind", option});
    return *this;
  }
};

std::string refused(const std::string& source, const std::string& destination, const std::string& option) {
  Scene scene;
  scene.with(source, destination, option);
  return scene.refused();
}

#define CHECK_RUN(bundle, ...)                       \
  do {                                               \
    const auto failure_ = (bundle).run(__VA_ARGS__); \
    CHECK_MESSAGE(failure_.empty(), failure_);       \
  } while (false)

}  // namespace

TEST_CASE("copy-symlink: a source that is a link is the same link inside; anything else is an ordinary bind") {
  Scene scene;
  scene.image_link("/t/same", "/no/where");
  scene.image_link("/up", "t/dir");
  scene.with("link", "/made/for/link", "copy-symlink").with("nowhere", "/t/same", "copy-symlink");
  scene.with("dirlink", "/up/link", "copy-symlink").with("file", "/t/filelink", "copy-symlink").with("dir", "/t/new", "copy-symlink");
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/made/for/link"), "file");
    EXPECT_EQUAL(link_at("/t/same"), "/no/where");
    EXPECT_EQUAL(link_at("/t/dir/link"), "dir");
    for (const auto* path : {"/made/for/link", "/t/same", "/t/dir/link"}) EXPECT(!is_mounted(path));
    EXPECT_EQUAL(text_of("/t/file"), "file");
    EXPECT_EQUAL(text_of("/t/new/inner"), "inner");
    return ok();
  });
  CHECK(link_at(scene.in_rootfs("/made/for/link")) == "file");  // it stays, as mount points do
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/made/for/link"), "file");
    return ok();
  });
}

TEST_CASE("copy-symlink: what is there already and is not the same link is an error that says what it is") {
  const auto other = refused("link", "/t/filelink", "copy-symlink").append(refused("nowhere", "/t/filelink", "copy-symlink"));
  CHECK_MESSAGE(contains(other, "the source is a link to \"/no/where\", and a link to \"file\" is there already"), other);
  CHECK_MESSAGE(!contains(other, "the source is a link to \"file\""), other);  // the first of the two is the same link
  for (const auto* destination : {"/t/file", "/t/dir"}) {
    const auto text = refused("link", destination, "copy-symlink");
    CHECK_MESSAGE(contains(text, "\"/mounts/0\": mount "), text);
    CHECK_MESSAGE(contains(text, "and no symbolic link is there already (hint: remove it from the image"), text);
  }
}

TEST_CASE("copy-symlink: links in a tmpfs of ours, and below a mount that is read-only") {
  Scene scene;
  scene.usual_mounts();
  scene.with("nowhere", "/dev/log", "copy-symlink");
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/dev/log"), "/no/where");
    EXPECT_EQUAL(link_at("/dev/fd"), "/proc/self/fd");
    return ok();
  });
  CHECK(link_at(scene.in_rootfs("/dev/log")) == "no link");
  Scene closed;
  closed.bind(closed.host("dir"), "/closed", {"bind", "ro"}).bind(closed.host("link"), "/closed/link", {"bind", "copy-symlink"});
  const auto text = closed.refused();
  CHECK_MESSAGE(contains(text, "Read-only file system (hint: the link cannot be made there"), text);
}

TEST_CASE("src-nofollow: the link itself is mounted on a file, on what a link leads to, and where nothing is") {
  Scene scene;
  scene.with("link", "/t/file", "src-nofollow").with("nowhere", "/made/link", "src-nofollow").with("nowhere", "/t/dangling", "src-nofollow");
  scene.with("dir", "/t/dir", "src-nofollow").with("file", "/t/new", "src-nofollow");
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/t/file"), "file");
    EXPECT(is_mounted("/t/file"));
    EXPECT(!is_mounted("/t/filelink"));
    EXPECT_EQUAL(link_at("/t/filelink"), "file");
    EXPECT_EQUAL(link_at("/made/link"), "/no/where");
    EXPECT_EQUAL(link_at("/t/dangling"), "missing");
    EXPECT_EQUAL(link_at("/t/missing"), "/no/where");
    EXPECT_EQUAL(text_of("/t/dir/inner"), "inner");
    EXPECT_EQUAL(text_of("/t/new"), "file");
    return ok();
  });
  CHECK(text_of(scene.in_rootfs("/made/link")) == "");  // what it stood on: an empty file
  CHECK(text_of(scene.in_rootfs("/t/file")) == "image");
  CHECK(contains(refused("link", "/t/dir", "src-nofollow"), "a file only on a file"));
}

TEST_CASE("dest-nofollow: the mount is on the link, and what the link leads to stays uncovered") {
  Scene scene;
  scene.with("file", "/t/filelink", "dest-nofollow").with("file", "/t/dirlink", "dest-nofollow").with("file", "/t/dangling", "dest-nofollow");
  scene.with("dir", "/t/dir", "dest-nofollow").with("dir", "/new/dir", "dest-nofollow").with("file", "/new/file", "dest-nofollow");
  scene.with("link", "/new/followed", "dest-nofollow");
  CHECK_RUN(scene, []() -> Status {
    for (const auto* path : {"/t/filelink", "/t/dirlink", "/t/dangling", "/new/file", "/new/followed"}) {
      EXPECT_EQUAL(text_of(path), "file");
      EXPECT(is_mounted(path));
      EXPECT_EQUAL(link_at(path), "no link");
    }
    EXPECT_EQUAL(text_of("/t/file"), "image");
    EXPECT(!path_exists("/t/missing"));
    EXPECT_EQUAL(text_of("/t/dir/inner"), "inner");
    EXPECT_EQUAL(text_of("/new/dir/inner"), "inner");
    return ok();
  });
  CHECK(link_at(scene.in_rootfs("/t/filelink")) == "file");
  const auto directory = refused("dir", "/t/dirlink", "dest-nofollow");
  CHECK_MESSAGE(contains(directory, "\"/t/dirlink\" is a symbolic link in the rootfs, and the kernel mounts a directory on a directory only (hint: "), directory);
}

TEST_CASE("src-nofollow with dest-nofollow: a link is mounted on a link") {
  Scene scene;
  scene.bind(scene.host("nowhere"), "/t/dirlink", {"bind", "src-nofollow", "dest-nofollow"});
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/t/dirlink"), "/no/where");
    EXPECT(is_mounted("/t/dirlink"));
    EXPECT(path_exists("/t/dir"));
    return ok();
  });
  CHECK(link_at(scene.in_rootfs("/t/dirlink")) == "dir");
}

TEST_CASE("links made and mounted with the three options never leave the rootfs, wherever links of the image lead") {
  Scene scene;
  const auto outside = scene.host_dir("outside");
  scene.host_file("outside/file", "untouched");
  scene.image_link("/out", "../../../../../.." + outside);
  scene.image_link("/leaf", outside + "/file");
  scene.with("link", "/out/copied", "copy-symlink").with("link", "/out/deep/copied", "copy-symlink");
  scene.with("link", "/out/bound", "src-nofollow").with("dir", "/out/dir", "dest-nofollow").with("file", "/leaf", "dest-nofollow");
  CHECK_RUN(scene, [&]() -> Status {
    EXPECT_EQUAL(link_at(outside + "/copied"), "file");  // the same path, inside
    EXPECT_EQUAL(link_at(outside + "/deep/copied"), "file");
    EXPECT_EQUAL(text_of("/leaf"), "file");
    return ok();
  });
  CHECK(text_of(outside + "/file") == "untouched");
  for (const auto* name : {"/copied", "/deep", "/bound", "/dir"}) {
    CAPTURE(name);
    CHECK(!path_exists(outside + name));
    CHECK(link_at(outside + name) == "no link");
  }
}

TEST_CASE("a neighbour that exchanges the destination's directory for a link gets nothing made or mounted outside") {
  Scene scene;
  const auto outside = scene.host_dir("outside");
  scene.image_dir("/race/place");
  scene.image_link("/race/decoy", "../../../../../.." + outside);
  scene.image_link("/race/end", outside + "/planted");
  scene.image_file("/race/other", "x");
  const Neighbour parents{[left = scene.in_rootfs("/race/place"), right = scene.in_rootfs("/race/decoy")] {
    (void)::renameat2(AT_FDCWD, left.c_str(), AT_FDCWD, right.c_str(), RENAME_EXCHANGE);
  }};
  const Neighbour ends{[left = scene.in_rootfs("/race/end"), right = scene.in_rootfs("/race/other")] {
    (void)::renameat2(AT_FDCWD, left.c_str(), AT_FDCWD, right.c_str(), RENAME_EXCHANGE);
  }};
  scene.with("link", "/race/place/copied", "copy-symlink").with("link", "/race/place/bound", "src-nofollow");
  scene.with("file", "/race/end", "dest-nofollow").with("file", "/race/place/file", "dest-nofollow");
  for (int i = 0; i < 40; ++i) {
    (void)scene.run([]() -> Status { return ok(); });  // it may fail: a name is gone for a moment
    REQUIRE(is_empty_dir(outside));
  }
}

TEST_CASE("CVE-2019-16884: no link, copied or mounted, comes to stand for /proc or on what is in it") {
  for (const auto* option : {"copy-symlink", "src-nofollow"}) {
    CAPTURE(option);
    for (const auto* place : {"/proc", "/sys", "/dev"}) {
      const auto text = refused("dirlink", place, option);
      CHECK_MESSAGE(contains(text, "must be an ordinary directory"), text);
    }
  }
  Bundle magic;
  magic.bind("/proc/self/root", "/escape", {"bind", "src-nofollow"});
  CHECK_MESSAGE(contains(magic.refused(), "a link of the kernel's"), magic.refused());
  CHECK(contains(refused("file", "/proc/self/attr", "dest-nofollow"), "no mount may cover"));
  Scene image;
  image.image_dir("/fake");
  image.image_link("/proc", "fake");
  image.bind(image.host("dir"), "/proc", {"bind", "dest-nofollow"});
  CHECK_MESSAGE(contains(image.refused(), "is no procfs"), image.refused());
  Scene behind;
  behind.usual_mounts();
  behind.image_link("/alias", "proc");
  behind.with("file", "/alias/thread-self", "dest-nofollow");
  behind.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
  const auto text = behind.refused();
  CHECK_MESSAGE(contains(text, "leads into /proc, which no mount may cover"), text);
}

TEST_CASE("a link in a tmpfs of ours lets nothing go ahead of a mount that waits for the network") {
  Scene scene;
  scene.mount({.destination = "/dev", .type = "tmpfs", .source = "tmpfs"});
  REQUIRE_OK(sys::symlinkat("/sys/kernel", AT_FDCWD, scene.host("kernel")));
  scene.with("kernel", "/dev/inner", "copy-symlink");
  scene.mount({.destination = "/sys", .type = "sysfs", .source = "sysfs"});
  scene.mount({.destination = "/dev/inner", .type = "tmpfs", .source = "late"});
  scene.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWNET;
  CHECK_RUN(scene, []() -> Status {
    EXPECT(type_of("/sys/kernel") == TMPFS_MAGIC);
    EXPECT(type_of("/sys") == SYSFS_MAGIC);
    return ok();
  });
}

TEST_CASE("the three options in a user namespace: a copied link belongs to its root") {
  Scene scene;
  scene.user_namespace();
  REQUIRE_OK(sys::fchownat(AT_FDCWD, scene.in_rootfs("/t"), 100000, 100000, 0));
  scene.with("link", "/t/copied", "copy-symlink").with("nowhere", "/t/bound", "src-nofollow").with("file", "/t/dangling", "dest-nofollow");
  CHECK_RUN(scene, []() -> Status {
    EXPECT_EQUAL(link_at("/t/copied"), "file");
    EXPECT_EQUAL(link_at("/t/bound"), "/no/where");
    EXPECT_EQUAL(text_of("/t/dangling"), "file");
    const auto info = sys::fstatat(AT_FDCWD, "/t/copied", AT_SYMLINK_NOFOLLOW);
    EXPECT(info.has_value() && info.value().st_uid == 0);
    return ok();
  });
}
