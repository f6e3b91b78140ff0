#include "rootfs/overlay.h"

#include <linux/mount.h>
#include <sys/mount.h>

#include "in_namespace.h"

using namespace husk;
using namespace husk::test;
using rootfs::OverlayLayers;

namespace {

Status put(const std::string& path, std::string_view text) { return write_atomically(AT_FDCWD, path, text); }

struct Tree {
  TempDir dir;
  std::string layer(const std::string& name, const std::string& file, const std::string& text) const {
    const auto path = dir / name;
    REQUIRE_OK(make_directories(path));
    REQUIRE_OK(put(path + "/" + file, text));
    return path;
  }
  std::string empty(const std::string& name) const {
    const auto path = dir / name;
    REQUIRE_OK(make_directories(path));
    return path;
  }
};

using Maker = Result<UniqueFd> (*)(const OverlayLayers&);
constexpr Maker kMakers[] = {rootfs::mount_overlay_detached, rootfs::mount_overlay_by_layer,
                             rootfs::mount_overlay_by_text};

bool mounted(const std::string& path) {
  const auto answer = rootfs::is_mount_point(path);
  return answer.has_value() && answer.value();
}

}  // namespace

TEST_CASE("an overlay shows the top layer first, writes only above, and fixes its options") {
  const Tree tree;
  OverlayLayers layers{.lower = {tree.layer("top", "name", "top"), tree.layer("bottom", "name", "bottom")},
                       .upper = tree.empty("upper"), .work = tree.empty("work")};
  REQUIRE_OK(put(layers.lower[1] + "/only", "below"));
  const auto target = tree.empty("merged");
  for (const auto make : kMakers) {
    CHECK_IN_NAMESPACE([&]() -> Status {
      const auto mount = TRY(make(layers));
      EXPECT(!mounted(target));
      TRY(rootfs::attach(mount, target));
      EXPECT(mounted(target));
      EXPECT_EQUAL(text_of(target + "/name"), "top");
      EXPECT_EQUAL(text_of(target + "/only"), "below");
      TRY(put(target + "/new", "x"));
      EXPECT_EQUAL(text_of(layers.upper + "/new"), "x");
      EXPECT(!path_exists(layers.lower[0] + "/new"));
      const auto options = mount_line(target);
      for (const auto* word : {"index=on", "redirect_dir=on", "metacopy=on", "xino=on"})
        EXPECT(options.find(word) == std::string::npos);
      TRY(rootfs::detach(target));
      EXPECT(!mounted(target));
      TRY(remove_tree(AT_FDCWD, layers.upper + "/new"));
      return rootfs::detach(target);  // a second time: nothing there is success
    });
  }
}

TEST_CASE("without an upper layer an overlay is read-only, with and without read_only") {
  const Tree tree;
  OverlayLayers layers{.lower = {tree.layer("a", "f", "a"), tree.layer("b", "g", "b")}};
  const auto target = tree.empty("merged");
  for (const auto make : kMakers) {
    for (const bool read_only : {false, true}) {
      layers.read_only = read_only;
      CHECK_IN_NAMESPACE([&]() -> Status {
        const auto mount = TRY(make(layers));
        TRY(rootfs::attach(mount, target));
        EXPECT_EQUAL(text_of(target + "/g"), "b");
        EXPECT(put(target + "/h", "x").error().os_errno() == EROFS);
        return ok();
      });
    }
  }
}

TEST_CASE("read_only with an upper layer shows the upper and refuses writes") {
  const Tree tree;
  const OverlayLayers layers{.lower = {tree.layer("a", "f", "a")}, .upper = tree.layer("upper", "u", "up"),
                             .work = tree.empty("work"), .read_only = true};
  const auto target = tree.empty("merged");
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto mount = TRY(rootfs::mount_overlay_detached(layers));
    TRY(rootfs::attach(mount, target));
    EXPECT_EQUAL(text_of(target + "/u"), "up");
    EXPECT(put(target + "/h", "x").error().os_errno() == EROFS);
    return ok();
  });
}

TEST_CASE("one lower and no upper is a read-only bind mount, not an overlay") {
  const Tree tree;
  const auto layer = tree.layer("only", "f", "text");
  const auto target = tree.empty("merged");
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto mount = TRY(rootfs::mount_overlay_detached({.lower = {layer}}));
    TRY(rootfs::attach(mount, target));
    EXPECT_EQUAL(text_of(target + "/f"), "text");
    EXPECT(put(target + "/h", "x").error().os_errno() == EROFS);
    EXPECT(mount_line(target).find(" - overlay ") == std::string::npos);
    TRY(put(layer + "/after", "seen"));  // the layer itself keeps its own flags
    EXPECT_EQUAL(text_of(target + "/after"), "seen");
    return ok();
  });
  CHECK(rootfs::mount_overlay_detached({.lower = {layer + "/f"}}).error().kind() == Kind::invalid);
}

TEST_CASE("layer paths may hold colons, commas, backslashes, spaces and more than 255 bytes") {
  const Tree tree;
  const std::string deep = "d/" + std::string(120, 'x') + "/" + std::string(120, 'y') + "/" + std::string(120, 'z');
  OverlayLayers layers{.lower = {tree.layer("a:b,c\\d e\tf", "one", "1"), tree.layer("\\\\:", "two", "2"),
                                 tree.layer(deep, "three", "3"), tree.layer("quote\"'#%", "four", "4")},
                       .upper = tree.empty("up,per:\\,"), .work = tree.empty("w:o\\r,k")};
  const auto target = tree.empty("merged");
  for (const auto make : kMakers) {
    CHECK_IN_NAMESPACE([&]() -> Status {
      const auto mount = TRY(make(layers));
      TRY(rootfs::attach(mount, target));
      EXPECT_EQUAL(text_of(target + "/one"), "1");
      EXPECT_EQUAL(text_of(target + "/two"), "2");
      EXPECT_EQUAL(text_of(target + "/three"), "3");
      EXPECT_EQUAL(text_of(target + "/four"), "4");
      TRY(put(target + "/new", "x"));
      EXPECT_EQUAL(text_of(layers.upper + "/new"), "x");
      return ok();
    });
  }
}

TEST_CASE("up to 500 layers are stacked; the text form takes more than 64") {
  const Tree tree;
  OverlayLayers layers;
  for (int i = 0; i < 501; ++i)
    layers.lower.push_back(tree.layer(format_text("layer-with-a-rather-long-name-{}", i), format_text("f{}", i), "x"));
  CHECK(rootfs::mount_overlay_detached(layers).error().to_string().find("at most 500") != std::string::npos);
  layers.lower.pop_back();
  const auto target = tree.empty("merged");
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto mount = TRY(rootfs::mount_overlay_detached(layers));
    TRY(rootfs::attach(mount, target));
    EXPECT(path_exists(target + "/f0") && path_exists(target + "/f499"));
    return ok();
  });
  const auto too_long = rootfs::mount_overlay_by_text(layers);
  CHECK(too_long.error().kind() == Kind::unsupported);
  layers.lower.resize(200);
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto mount = TRY(rootfs::mount_overlay_by_text(layers));
    TRY(rootfs::attach(mount, target));
    EXPECT(path_exists(target + "/f0") && path_exists(target + "/f199"));
    return ok();
  });
}

TEST_CASE("the text form leaves no trace in the caller's mount namespace") {
  const Tree tree;
  const OverlayLayers layers{.lower = {tree.layer("a", "f", "a"), tree.layer("b", "g", "b")}};
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto before = text_of("/proc/self/mountinfo");
    const auto mount = TRY(rootfs::mount_overlay_by_text(layers));
    EXPECT_EQUAL(text_of("/proc/self/mountinfo"), before);
    EXPECT(!path_exists(layers.lower[0] + "/g"));
    return ok();
  });
}

TEST_CASE("overlay errors say what to do") {
  const Tree tree;
  const auto a = tree.layer("a", "f", "a");
  const auto b = tree.layer("b", "g", "b");
  CHECK(rootfs::mount_overlay_detached({}).error().kind() == Kind::invalid);
  CHECK(rootfs::mount_overlay_detached({.lower = {a}, .upper = b}).error().kind() == Kind::invalid);
  const auto missing = rootfs::mount_overlay_detached({.lower = {a, tree.dir / "none"}});
  CHECK(missing.error().kind() == Kind::not_found);
  CHECK(missing.error().to_string().find("/none") != std::string::npos);

  const auto target = tree.empty("merged");
  for (const auto make : kMakers) {
    CHECK_IN_NAMESPACE([&]() -> Status {  // overlay on overlay
      const auto mount = TRY(make({.lower = {a, b}, .upper = tree.empty("u"), .work = tree.empty("w")}));
      TRY(rootfs::attach(mount, target));
      TRY(make_directories(target + "/u2"));
      TRY(make_directories(target + "/w2"));
      const auto nested = make({.lower = {a, b}, .upper = target + "/u2", .work = target + "/w2"});
      EXPECT(!nested.has_value());
      EXPECT(nested.error().kind() == Kind::unsupported);
      EXPECT(nested.error().to_string().find("itself on an overlay") != std::string::npos);
      return ok();
    });
  }
}

TEST_CASE("attach refuses a symbolic link as its target") {
  const Tree tree;
  const auto layer = tree.layer("only", "f", "text");
  const auto real = tree.empty("real");
  REQUIRE_OK(sys::symlinkat(real, AT_FDCWD, tree.dir / "link"));
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto mount = TRY(rootfs::mount_overlay_detached({.lower = {layer}}));
    EXPECT(!rootfs::attach(mount, tree.dir / "link").has_value());
    EXPECT(!mounted(real));
    EXPECT(!mounted(tree.dir / "absent"));
    TRY(rootfs::detach(tree.dir / "absent"));
    return ok();
  });
}
