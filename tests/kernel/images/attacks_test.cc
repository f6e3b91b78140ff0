// Hostile layers. Each attack aims at a victim outside
// the layer; afterwards the victim is as it was and nothing of the layer is left.
#include "bed.h"

#include "base/clock.h"

#include <zstd.h>

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

struct Outcome {
  std::string error;  // "success" when it was unpacked
  Tree victim;        // afterwards
  Tree tree;          // what the layers show, when unpacked
};

const Tree kVictim{{"dir", "d 755 0:0"}, {"dir/inner", "f 600 0:0 inner"}, {"file", "f 644 0:0 secret"}};

// `{V}` in names and targets becomes the victim's absolute path, `{UP}` a relative way to it.
std::string with_paths(std::string text, const std::string& victim) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at)) text.replace(at, from.size(), to);
  };
  replace("{V}", victim);
  replace("{UP}", "../../../../../../../../../../../.." + victim);
  return text;
}

Outcome attack(const std::function<std::vector<std::string>(const std::function<std::string(const std::string&)>&)>& make) {
  TmpfsDir temporary;
  const auto victim = temporary / "victim";
  REQUIRE_OK(make_directories(victim + "/dir"));
  REQUIRE_OK(write_atomically(AT_FDCWD, victim + "/file", "secret", 0644));
  REQUIRE_OK(write_atomically(AT_FDCWD, victim + "/dir/inner", "inner", 0600));
  Outcome outcome;
  {
    Bed bed{temporary / "store"};
    const auto tars = make([&](const std::string& text) { return with_paths(text, victim); });
    const auto made = unpack(bed, tars);
    outcome.error = error_text(made);
    if (made.has_value()) outcome.tree = merged(made.value().directories, temporary / "mnt");
  }
  outcome.victim = describe(victim);
  CHECK(describe(temporary / "store/tmp").empty());
  CHECK(describe(temporary / "store/layers").empty());
  CHECK(describe(temporary / "store/blobs/sha256").empty());
  return outcome;
}

using P = const std::function<std::string(const std::string&)>&;

}  // namespace

TEST_CASE("CVE-2014-9356, CVE-2014-6407: a symlink out of the layer, and a file written through it") {
  HUSK_NEEDS_ROOT();
  for (const auto* target : {"{V}", "{UP}", "/proc/self/root{V}", "/proc/1/cwd"}) {
    CAPTURE(target);
    const auto outcome = attack([&](P p) {
      return std::vector{tar_of(soft_link("link", p(target)) + file("link/file", "owned") + file("link/new", "owned") + file("link/dir/.wh.inner"))};
    });
    CHECK(outcome.victim == kVictim);
  }
}

TEST_CASE("CVE-2014-6407: a hard link to a file outside, and a write through it") {
  HUSK_NEEDS_ROOT();
  for (const auto* target : {"{V}/file", "{UP}/file", "../../../victim/file"}) {
    CAPTURE(target);
    const auto outcome = attack([&](P p) { return std::vector{tar_of(hard_link("h", p(target)) + file("h", "owned"))}; });
    CHECK(outcome.victim == kVictim);
    const auto link_only = attack([&](P p) { return std::vector{tar_of(hard_link("h", p(target)))}; });
    CHECK(link_only.error != "success");
    CHECK(link_only.victim == kVictim);
  }
}

TEST_CASE("a hard link through a symlink of the layer stays inside") {
  HUSK_NEEDS_ROOT();
  const auto outcome = attack([](P p) { return std::vector{tar_of(soft_link("link", p("{V}")) + hard_link("h", "link/file"))}; });
  CHECK(outcome.error.find("does not exist") != std::string::npos);
  CHECK(outcome.victim == kVictim);
}

TEST_CASE("CVE-2021-32760, CVE-2021-41089: no mode or owner is changed through a symlink") {
  HUSK_NEEDS_ROOT();
  const auto outcome = attack([](P p) {
    return std::vector{tar_of(soft_link("a", p("{V}/file")) + tar_entry({.name = "a", .type = '1', .link = "a"}))};
  });
  CHECK(outcome.victim == kVictim);
  const auto by_hard_link = attack([](P p) {
    return std::vector{tar_of(tar_entry({.name = "a", .type = '2', .link = p("{V}/file"), .mode = 0777, .uid = "0000777"}) +
                              tar_entry({.name = "b", .type = '1', .link = "a", .mode = 04777, .uid = "0000777"}))};
  });
  CHECK(by_hard_link.error == "success");
  CHECK(by_hard_link.victim == kVictim);
  const auto directory_over_link = attack([](P p) { return std::vector{tar_of(soft_link("d", p("{V}/dir")) + directory("d", 0777) + file("d/x"))}; });
  CHECK(directory_over_link.victim == kVictim);
  CHECK(directory_over_link.tree.at("d") == "d 777 0:0");
}

TEST_CASE("names with \"..\" are refused, absolute ones stay inside") {
  HUSK_NEEDS_ROOT();
  for (const auto& name : {"../victim/file", "a/../../victim/file", "..", "a/.."}) {
    CAPTURE(name);
    const auto outcome = attack([&](P) { return std::vector{tar_of(file(name, "owned"))}; });
    CHECK(outcome.error.find("holds \"..\"") != std::string::npos);
    CHECK(outcome.victim == kVictim);
  }
  const auto absolute = attack([](P p) { return std::vector{tar_of(file(p("{V}/file"), "mine"))}; });
  CHECK(absolute.error == "success");
  CHECK(absolute.victim == kVictim);
}

TEST_CASE("whiteouts through symlinks, of \"..\" and of the root remove nothing outside") {
  HUSK_NEEDS_ROOT();
  const auto outcome = attack([](P p) {
    return std::vector{tar_of(soft_link("l", p("{V}"))), tar_of(file("l/.wh.file") + file("l/.wh..wh..opq") + file(".wh.l"))};
  });
  CHECK(outcome.victim == kVictim);
  for (const auto* name : {".wh..", ".wh...", "d/.wh...", ".wh."}) {
    CAPTURE(name);
    CHECK(attack([&](P) { return std::vector{tar_of(file(name))}; }).error.find("without a name") != std::string::npos);
  }
}

TEST_CASE("CVE-2021-29136: the root of a layer as a symlink, file or hard link") {
  HUSK_NEEDS_ROOT();
  for (const char type : {'0', '1', '2', '6'}) {
    CAPTURE(type);
    const auto outcome = attack([&](P p) {
      return std::vector{tar_of(tar_entry({.name = "./.", .type = type, .link = p("{V}")}) + file("file", "owned"))};
    });
    CHECK(outcome.error != "success");
    CHECK(outcome.victim == kVictim);
  }
}

TEST_CASE("a symlink loop on the way to an entry is an error, not an endless walk") {
  HUSK_NEEDS_ROOT();
  const auto outcome = attack([](P) { return std::vector{tar_of(soft_link("a", "b") + soft_link("b", "a") + file("a/x"))}; });
  CHECK(outcome.error.find("more than 40 symlinks") != std::string::npos);
}

TEST_CASE("CVE-2025-47290: a directory that becomes a symlink between two entries") {
  HUSK_NEEDS_ROOT();
  const auto outcome = attack([](P p) {
    return std::vector{tar_of(directory("d") + file("d/a", "1") + soft_link("d", p("{V}")) + file("d/file", "owned") + directory("d/dir", 0777))};
  });
  CHECK(outcome.victim == kVictim);
}

TEST_CASE("overlay attributes of a layer do not reach the layer directory") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  const auto made = unpack(bed, {tar_of(directory("d") + file("d/a", "1")),
                                 tar_of(pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"}, {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                                             {"SCHILY.xattr.trusted.x", "1"}, {"SCHILY.xattr.security.selinux", "s"}}) +
                                        directory("d"))});
  REQUIRE_OK(made);
  for (const auto* name : {"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.x"})
    CHECK_FALSE(sys::lgetxattr(made.value().directories[0] + "/d", name).has_value());
  CHECK(merged(made.value().directories, temporary / "mnt").contains("d/a"));
}

TEST_CASE("CVE-2017-14992: bombs are stopped by size, by ratio and by number of entries") {
  HUSK_NEEDS_ROOT();
  const auto zeros = tar_of(file("zeros", std::string(8U << 20U, '\0')));
  std::string packed(ZSTD_compressBound(zeros.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), zeros.data(), zeros.size(), 3));
  const auto feed = [&](const UnpackLimits& limits, const std::string& bytes) {
    TmpfsDir temporary;
    std::string text;
    {
      Bed bed{temporary / "store", limits};
      const auto batch = bed.layers->begin({{}});
      REQUIRE_OK(batch);
      auto sink = batch.value()->start(0);
      REQUIRE_OK(sink);
      const auto written = sink.value()->write(bytes);
      text = error_text(written);
      if (!written.has_value()) CHECK(written.error().kind() == Kind::exhausted);
    }
    CHECK(describe(temporary / "store/tmp").empty());
    return text;
  };
  UnpackLimits limits;
  CHECK(feed(limits, packed) == "success");
  limits.ratio_free_bytes = 1U << 20U;
  CHECK(feed(limits, packed).find("times its size") != std::string::npos);
  limits = {};
  limits.max_bytes = 1U << 20U;
  CHECK(feed(limits, packed).find("larger than 1048576 bytes") != std::string::npos);
  limits = {};
  limits.max_entries = 10;
  std::string many;
  for (int i = 0; i < 11; ++i) many += file(std::to_string(i));
  CHECK(feed(limits, tar_of(many)).find("more than 10 entries") != std::string::npos);
  // Few entries that imply many directories.
  limits = {};
  limits.max_note_bytes = 20'000;
  std::string nested;
  for (int i = 0; i < 3; ++i) {
    auto name = std::to_string(i);
    for (int depth = 0; depth < 45; ++depth) name += "/d";
    nested += file(name + "/f");
  }
  CHECK(feed(limits, tar_of(file("few/directories/f"))) == "success");
  CHECK(feed(limits, tar_of(nested)).find("nested directories") != std::string::npos);
}

TEST_CASE("a layer of many whiteouts and opaque directories is unpacked in time that grows with its size") {
  HUSK_NEEDS_ROOT();
  const auto seconds = [](int count) {
    TmpfsDir temporary;
    Bed bed{temporary / "store"};
    std::string text;
    for (int i = 0; i < count; ++i) text += file(format_text("w/.wh.{}", i));
    for (int i = 0; i < count; ++i) text += file(format_text("o{}/.wh..wh..opq", i));
    const auto begin = now_monotonic_ns();
    REQUIRE_OK(unpack(bed, {tar_of(text)}));
    return static_cast<double>(now_monotonic_ns() - begin);
  };
  (void)seconds(500);  // warm
  // Eight times as much; were each opaque directory to look at all whiteouts, it would be some forty times.
  const auto small = seconds(4000);
  const auto large = seconds(32'000);
  CHECK_MESSAGE(large < 20 * small, "small ", small, " ns, large ", large, " ns");
}

TEST_CASE("directories of the store are closed to other users (CVE-2021-41091, CVE-2021-41103)") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  for (const auto* name : {"", "/layers", "/blobs", "/containers", "/tmp"}) {
    const auto info = sys::fstatat(AT_FDCWD, temporary / "store" + name, 0);
    REQUIRE_OK(info);
    CHECK((info.value().st_mode & 077U) == 0);
  }
}
