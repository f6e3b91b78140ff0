// image-spec layer.md, corner cases, checked on a mounted overlay.
#include "bed.h"

#include <algorithm>
#include <random>

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

// The tree that these layers show, bottom first; the same whatever order they are fed in.
Tree shown(const std::vector<std::string>& layers) {
  std::vector<std::string> tars;
  for (const auto& layer : layers) tars.push_back(tar_of(layer));
  Tree first;
  for (const bool backwards : {false, true}) {
    TmpfsDir temporary;
    Bed bed{temporary / "store"};
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < tars.size(); ++i) order.push_back(backwards ? tars.size() - 1 - i : i);
    const auto made = unpack(bed, tars, order);
    REQUIRE_OK(made);
    const auto tree = merged(made.value().directories, temporary / "mnt");
    if (!backwards) first = tree;
    else CHECK(tree == first);
  }
  return first;
}

std::string failure_of(const std::vector<std::string>& layers, const UnpackLimits& limits = {}) {
  TmpfsDir temporary;
  std::string text;
  {
    Bed bed{temporary / "store", limits};
    std::vector<std::string> tars;
    for (const auto& layer : layers) tars.push_back(tar_of(layer));
    text = error_text(unpack(bed, tars));
  }
  CHECK(describe(temporary / "store/layers").empty());
  CHECK(describe(temporary / "store/blobs/sha256").empty());
  CHECK(describe(temporary / "store/tmp").empty());
  return text;
}

struct stat stat_of(const std::string& path) {
  const auto info = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  REQUIRE_OK(info);
  return info.value();
}

}  // namespace

TEST_CASE("layer.md#whiteouts: a whiteout hides the lower file, and only that") {
  HUSK_NEEDS_ROOT();
  const auto tree = shown({directory("d") + file("d/a", "1") + file("d/b", "2"), directory("d") + file("d/.wh.a")});
  CHECK(tree == Tree{{"d", "d 755 0:0"}, {"d/b", "f 644 0:0 2"}});
}

TEST_CASE("case 1: a whiteout before or after the new file of the same name leaves the new file") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("d") + file("d/a", "old");
  const Tree wanted{{"d", "d 755 0:0"}, {"d/a", "f 644 0:0 new"}};
  CHECK(shown({below, directory("d") + file("d/.wh.a") + file("d/a", "new")}) == wanted);
  CHECK(shown({below, directory("d") + file("d/a", "new") + file("d/.wh.a")}) == wanted);
}

TEST_CASE("case 2: a whiteout of a directory and new entries in it, in either order, hide what was below") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("dir", 0700) + file("dir/old", "1") + directory("dir/sub") + file("dir/sub/x", "2");
  const Tree wanted{{"dir", "d 750 0:0"}, {"dir/new", "f 644 0:0 n"}};
  CHECK(shown({below, file(".wh.dir") + directory("dir", 0750) + file("dir/new", "n")}) == wanted);
  CHECK(shown({below, directory("dir", 0750) + file("dir/new", "n") + file(".wh.dir")}) == wanted);
  // Without an entry of its own the new directory has default attributes: the old one is gone.
  const Tree implied{{"dir", "d 755 0:0"}, {"dir/new", "f 644 0:0 n"}};
  CHECK(shown({below, file(".wh.dir") + file("dir/new", "n")}) == implied);
  CHECK(shown({below, file("dir/new", "n") + file(".wh.dir")}) == implied);
}

TEST_CASE("case 3: an opaque marker acts before the layer's own entries, wherever it stands") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("d", 0711) + file("d/a", "1") + directory("d/s") + file("d/s/b", "2");
  const Tree wanted{{"d", "d 711 0:0"}, {"d/new", "f 644 0:0 n"}, {"d/s", "d 755 0:0"}, {"d/s/c", "f 644 0:0 c"}};
  CHECK(shown({below, file("d/.wh..wh..opq") + file("d/new", "n") + file("d/s/c", "c")}) == wanted);
  CHECK(shown({below, file("d/new", "n") + file("d/s/c", "c") + file("d/.wh..wh..opq")}) == wanted);
}

TEST_CASE("case 4: an opaque directory holds no whiteouts, its own and those below") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("d") + file("d/a", "1") + directory("d/s") + file("d/s/b", "2");
  const Tree wanted{{"d", "d 755 0:0"}, {"d/s", "d 755 0:0"}};
  for (const auto& layer : {file("d/.wh..wh..opq") + file("d/.wh.a") + file("d/s/.wh.b"),
                            file("d/.wh.a") + file("d/s/.wh.b") + file("d/.wh..wh..opq")})
    CHECK(shown({below, layer}) == wanted);
}

TEST_CASE("an opaque marker in the root hides every lower layer") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("d") + file("d/a", "1") + file("f", "2") + directory("e") + file("e/x", "3");
  CHECK(shown({below, file("d/b", "4") + file(".wh..wh..opq") + file("new", "5")}) ==
        Tree{{"d", "d 755 0:0"}, {"d/b", "f 644 0:0 4"}, {"new", "f 644 0:0 5"}});
}

TEST_CASE("case 5: where the parent is a symlink in a lower layer, the new directory stands in its place") {
  HUSK_NEEDS_ROOT();
  const auto below = directory("usr") + directory("usr/lib") + file("usr/lib/x", "1") + soft_link("lib", "usr/lib");
  CHECK(shown({below, file("lib/.wh.x")}) ==
        Tree{{"lib", "d 755 0:0"}, {"usr", "d 755 0:0"}, {"usr/lib", "d 755 0:0"}, {"usr/lib/x", "f 644 0:0 1"}});
  CHECK(shown({below, file("lib/y", "2")}).at("lib/y") == "f 644 0:0 2");
}

TEST_CASE("a symlink of the same layer is followed, inside the layer") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({directory("usr") + directory("usr/lib") + soft_link("lib", "usr/lib") + file("lib/x", "1")}) ==
        Tree{{"lib", "l usr/lib"}, {"usr", "d 755 0:0"}, {"usr/lib", "d 755 0:0"}, {"usr/lib/x", "f 644 0:0 1"}});
  CHECK(shown({soft_link("a", "/b/c") + file("a/x", "1")}) ==
        Tree{{"a", "l /b/c"}, {"b", "d 755 0:0"}, {"b/c", "d 755 0:0"}, {"b/c/x", "f 644 0:0 1"}});
}

TEST_CASE("whiteouts of nothing leave nothing") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({file(".wh.a") + directory("d") + file("d/.wh.x")}) == Tree{{"d", "d 755 0:0"}});
  CHECK(shown({directory("d"), directory("d") + file("d/.wh.x") + file(".wh.y")}) == Tree{{"d", "d 755 0:0"}});
}

TEST_CASE("case 6: a hard link to a file of a lower layer becomes one file with it") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  const auto below = directory("d", 0710) + tar_entry({.name = "d/f", .data = "data", .mode = 0640, .uid = "0000012"});
  const auto made = unpack(bed, {tar_of(below), tar_of(hard_link("l", "d/f") + hard_link("m", "l"))});
  REQUIRE_OK(made);
  CHECK(merged(made.value().directories, temporary / "mnt") ==
        Tree{{"d", "d 710 0:0"}, {"d/f", "f 640 10:0 data"}, {"l", "f 640 10:0 data"}, {"m", "f 640 10:0 data"}});
  const auto& top = made.value().directories[0];
  CHECK(stat_of(top + "/l").st_ino == stat_of(top + "/d/f").st_ino);
  CHECK(stat_of(top + "/m").st_nlink == 3);
}

TEST_CASE("case 6: the target is replaced or removed by the same layer after the link") {
  HUSK_NEEDS_ROOT();
  const auto below = file("f", "old");
  CHECK(shown({below, hard_link("l", "f") + file("f", "new")}) == Tree{{"f", "f 644 0:0 new"}, {"l", "f 644 0:0 old"}});
  CHECK(shown({below, hard_link("l", "f") + file(".wh.f")}) == Tree{{"l", "f 644 0:0 old"}});
  CHECK(shown({below, hard_link("l", "f") + file("l", "other")}) == Tree{{"f", "f 644 0:0 old"}, {"l", "f 644 0:0 other"}});
  CHECK(shown({below, hard_link("l", "f") + directory("l")}) == Tree{{"f", "f 644 0:0 old"}, {"l", "d 755 0:0"}});
}

TEST_CASE("case 7: a hard link to a symlink is a second name of the symlink") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({soft_link("s", "/etc/passwd") + hard_link("h", "s")}) == Tree{{"h", "l /etc/passwd"}, {"s", "l /etc/passwd"}});
  CHECK(shown({soft_link("s", "nowhere"), hard_link("h", "s")}) == Tree{{"h", "l nowhere"}, {"s", "l nowhere"}});
}

TEST_CASE("case 8: a hard link to what the layer removed before, to nothing, to a directory, to itself") {
  HUSK_NEEDS_ROOT();
  CHECK(failure_of({file("f", "1"), file(".wh.f") + hard_link("l", "f")}).find("which this layer removes") != std::string::npos);
  CHECK(failure_of({file("f", "1"), hard_link("l", "nothing")}).find("does not exist") != std::string::npos);
  CHECK(failure_of({directory("d") + hard_link("l", "d")}).find("is a directory") != std::string::npos);
  CHECK(failure_of({directory("d"), hard_link("l", "d")}).find("is a directory") != std::string::npos);
  CHECK(failure_of({file("f") + hard_link("f", "f")}).find("to itself") != std::string::npos);
  CHECK(failure_of({directory("d") + file("d/f", "1"), file("d/.wh..wh..opq") + hard_link("l", "d/f")}).find("does not exist") != std::string::npos);
}

TEST_CASE("case 9: a directory becomes a file and a file a directory") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({directory("x") + file("x/a", "1"), file("x", "file")}) == Tree{{"x", "f 644 0:0 file"}});
  CHECK(shown({file("x", "file"), directory("x") + file("x/a", "1")}) == Tree{{"x", "d 755 0:0"}, {"x/a", "f 644 0:0 1"}});
  CHECK(shown({directory("x") + file("x/a", "1"), file("x", "f"), directory("x") + file("x/b", "2")}) ==
        Tree{{"x", "d 755 0:0"}, {"x/b", "f 644 0:0 2"}});
}

TEST_CASE("case 10: an implied directory keeps the attributes of the lower one") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  const auto below = directory("d", 0700) +
                     pax({{"uid", "1234"}, {"gid", "4321"}, {"mtime", "1000000000.5"}, {"SCHILY.xattr.user.note", "kept"}}) +
                     directory("d/e", 02751) + directory("tmp", 01777);
  const auto made = unpack(bed, {tar_of(below), tar_of(file("d/e/f", "1") + file("tmp/x", "2") + file("own/y", "3"))});
  REQUIRE_OK(made);
  CHECK(merged(made.value().directories, temporary / "mnt") ==
        Tree{{"d", "d 700 0:0"}, {"d/e", "d 2751 1234:4321"}, {"d/e/f", "f 644 0:0 1"}, {"own", "d 755 0:0"},
             {"own/y", "f 644 0:0 3"}, {"tmp", "d 1777 0:0"}, {"tmp/x", "f 644 0:0 2"}});
  const auto& top = made.value().directories[0];
  CHECK(stat_of(top + "/d/e").st_mtim.tv_sec == 1000000000);
  CHECK(stat_of(top + "/d/e").st_mtim.tv_nsec == 500000000);
  CHECK(sys::lgetxattr(top + "/d/e", "user.note").value() == "kept");
  CHECK_FALSE(sys::lgetxattr(top + "/d/e", kOpaqueXattr).has_value());
}

TEST_CASE("case 10: the root's attributes come from its entry, or from below") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  const auto made = unpack(bed, {tar_of(directory("./", 0711)), tar_of(file("a"))});
  REQUIRE_OK(made);
  for (const auto& path : made.value().directories) CHECK((stat_of(path).st_mode & 07777U) == 0711);
}

TEST_CASE("case 11: duplicates: the last one wins for files, directories are merged") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({file("f", "1") + file("f", "2") + directory("d", 0700) + file("d/a", "a") + directory("d", 0711)}) ==
        Tree{{"d", "d 711 0:0"}, {"d/a", "f 644 0:0 a"}, {"f", "f 644 0:0 2"}});
  CHECK(shown({directory("x") + file("x/a", "old"), directory("x") + file("x/b", "1") + file("x", "file") + directory("x") + file("x/c", "2")}) ==
        Tree{{"x", "d 755 0:0"}, {"x/c", "f 644 0:0 2"}});
  CHECK(shown({soft_link("f", "t") + file("f", "1") + hard_link("g", "f") + file("f", "2")}) ==
        Tree{{"f", "f 644 0:0 2"}, {"g", "f 644 0:0 1"}});
}

TEST_CASE("case 15: times before 1970 and beyond 2038, with nanoseconds, also of directories and symlinks") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  const auto made = unpack(bed, {tar_of(pax({{"mtime", "-1.5"}}) + file("old") + pax({{"mtime", "4294967296.000000001"}}) + directory("d") +
                                        file("d/x") + pax({{"mtime", "5.25"}}) + soft_link("l", "x"))});
  REQUIRE_OK(made);
  const auto& top = made.value().directories[0];
  CHECK(stat_of(top + "/old").st_mtim.tv_sec == -2);
  CHECK(stat_of(top + "/old").st_mtim.tv_nsec == 500000000);
  CHECK(stat_of(top + "/d").st_mtim.tv_sec == 4294967296);
  CHECK(stat_of(top + "/d").st_mtim.tv_nsec == 1);
  CHECK(stat_of(top + "/l").st_mtim.tv_sec == 5);
}

TEST_CASE("case 16: set-id bits and capabilities survive the change of owner") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);  // version 2, cap_net_bind_service effective
  const auto made = unpack(bed, {tar_of(tar_entry({.name = "s", .data = "x", .mode = 06755, .uid = "0000101", .gid = "0000102"}) +
                                        pax({{"SCHILY.xattr.security.capability", capability}}) +
                                        tar_entry({.name = "c", .data = "x", .mode = 0755, .uid = "0000101"}))});
  REQUIRE_OK(made);
  const auto& top = made.value().directories[0];
  CHECK((stat_of(top + "/s").st_mode & 07777U) == 06755);
  CHECK(stat_of(top + "/s").st_uid == 0101);
  CHECK(sys::lgetxattr(top + "/c", kCapabilityXattr).value() == capability);
}

TEST_CASE("case 17: any bytes in names, names of 255 bytes, paths beyond PATH_MAX") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  std::string deep;
  for (int i = 0; i < 25; ++i) deep += std::string(240, static_cast<char>('a' + i)) + "/";
  const std::string odd = "new\nline \xff\xfe \"";
  const auto base = tar_of(file(odd, "1") + pax({{"path", std::string(255, 'n')}}) + file("x", "2") + pax({{"path", deep + "file"}}) + file("x", "3"));
  const auto made = unpack(bed, {base, tar_of(pax({{"path", deep + ".wh.file"}}) + file("x") + pax({{"path", deep + "other"}}) + file("x", "4"))});
  REQUIRE_OK(made);
  CHECK(read_file(made.value().directories[1] + "/" + odd).value() == "1");
  CHECK(read_file(made.value().directories[1] + "/" + std::string(255, 'n')).value() == "2");
  auto fd = sys::openat(AT_FDCWD, made.value().directories[0], O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 25; ++i) {
    REQUIRE_OK(fd);
    fd = sys::openat(fd.value().get(), std::string(240, static_cast<char>('a' + i)), O_RDONLY | O_DIRECTORY);
  }
  REQUIRE_OK(fd);
  CHECK(read_file_at(fd.value().get(), "other").value() == "4");
  CHECK(is_whiteout(sys::fstatat(fd.value().get(), "file", AT_SYMLINK_NOFOLLOW).value()));
}

TEST_CASE("case 18: devices and FIFOs; a 0/0 device is the whiteout that overlayfs sees in it") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({tar_entry({.name = "c", .type = '3', .mode = 0620, .gid = "0000005", .dev_major = "0000001", .dev_minor = "0000003"}) +
               tar_entry({.name = "b", .type = '4', .dev_major = "0000007", .dev_minor = "0000001"}) + tar_entry({.name = "p", .type = '6'})}) ==
        Tree{{"b", "b 644 0:0 7:1"}, {"c", "c 620 0:5 1:3"}, {"p", "p 644 0:0"}});
  CHECK(shown({file("x", "1"), tar_entry({.name = "x", .type = '3'})}).empty());
}

TEST_CASE("case 20: access and default ACLs arrive, and do not change the files made meanwhile") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  Bed bed{temporary / "store"};
  // version 2; user::rwx user:7:r-- group::r-x mask::r-x other::---
  const std::string acl("\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\4\0\7\0\0\0\4\0\5\0\xff\xff\xff\xff\x10\0\5\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff", 44);
  const auto made = unpack(bed, {tar_of(pax({{"SCHILY.xattr.system.posix_acl_default", acl}, {"SCHILY.xattr.system.posix_acl_access", acl}}) +
                                        directory("d", 0750) + file("d/plain", "x", 0644))});
  REQUIRE_OK(made);
  const auto& top = made.value().directories[0];
  CHECK(sys::lgetxattr(top + "/d", "system.posix_acl_default").value() == acl);
  CHECK(sys::lgetxattr(top + "/d", "system.posix_acl_access").value() == acl);
  CHECK((stat_of(top + "/d/plain").st_mode & 07777U) == 0644);
  CHECK_FALSE(sys::lgetxattr(top + "/d/plain", "system.posix_acl_access").has_value());
}

TEST_CASE("AUFS leftovers are skipped, other reserved names refused") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({directory(".wh..wh.plnk") + file(".wh..wh.plnk/1.2", "x") + file(".wh..wh.aufs") + file("a", "1")}) == Tree{{"a", "f 644 0:0 1"}});
  CHECK(failure_of({file("d/.wh.")}).find("without a name") != std::string::npos);
  CHECK(failure_of({file(".wh..")}).find("without a name") != std::string::npos);
  CHECK(failure_of({file("d/.wh....")}).empty() == false);
  CHECK(failure_of({file(".wh.d/x")}).find("below a whiteout") != std::string::npos);
  CHECK(failure_of({file("a") + file("a/b")}).find("is not a directory") != std::string::npos);
}

TEST_CASE("containers-storage: a whiteout, then a whiteout below the same name") {
  HUSK_NEEDS_ROOT();
  CHECK(shown({directory("foo") + file("foo/bar", "1"), file(".wh.foo") + file("foo/.wh.bar")}) == Tree{{"foo", "d 755 0:0"}});
}

namespace {

struct Item {
  char kind;  // f file, d directory, w whiteout, o opaque marker, h hard link
  std::string name;
  std::string value;  // data, or target
  unsigned mode = 0755;
};

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}
std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string as_tar(const std::vector<Item>& items) {
  std::string text;
  for (const auto& item : items) {
    const auto parent = parent_of(item.name).empty() ? "" : parent_of(item.name) + "/";
    if (item.kind == 'f') text += file(item.name, item.value);
    if (item.kind == 'd') text += directory(item.name, item.mode);
    if (item.kind == 'w') text += file(parent + ".wh." + base_of(item.name));
    if (item.kind == 'o') text += file(item.name + "/.wh..wh..opq");
    if (item.kind == 'h') text += hard_link(item.name, item.value);
  }
  return tar_of(text);
}

void erase_tree(Tree& tree, const std::string& path, bool keep_top = false) {
  std::erase_if(tree, [&](const auto& item) {
    return item.first.starts_with(path + "/") || (!keep_top && item.first == path);
  });
}

// layer.md in a few lines, over a map: whiteouts act on what is below, then the entries in order.
// False: an entry lies below a file of its own layer.
bool apply_model(Tree& tree, const std::vector<Item>& items) {
  for (const auto& item : items) {
    if (item.kind == 'w') erase_tree(tree, item.name);
    if (item.kind == 'o') erase_tree(tree, item.name, true);
  }
  std::vector<std::string> own_files;
  const auto make_directory = [&](const std::string& path) {
    auto& text = tree[path];
    if (!text.starts_with("d ")) text = "d 755 0:0";
  };
  for (const auto& item : items) {
    const auto last = item.kind == 'o' ? item.name : parent_of(item.name);
    for (std::size_t at = 0; at != std::string::npos && !last.empty();) {
      at = last.find('/', at + 1);
      const auto above = last.substr(0, at);
      if (std::find(own_files.begin(), own_files.end(), above) != own_files.end()) return false;
      make_directory(above);
    }
    if (item.kind == 'f') {
      erase_tree(tree, item.name);
      std::erase_if(own_files, [&](const std::string& path) { return path.starts_with(item.name + "/"); });
      tree[item.name] = "f 644 0:0 " + item.value;
      own_files.push_back(item.name);
    }
    if (item.kind == 'd') {
      tree[item.name] = format_text("d {:o} 0:0", item.mode);
      std::erase(own_files, item.name);
    }
  }
  return true;
}

std::vector<Item> random_layer(std::mt19937& random, bool links) {
  static const std::vector<std::string> names{"a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/a/a", "a/b/c", "c/b/a"};
  const auto pick = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  std::vector<Item> items;
  for (int i = 0; i < 4; ++i) {
    const char kind = links && pick(12) == 0 ? 'h' : "ffddwo"[pick(6)];
    items.push_back({kind, names[pick(names.size())], std::to_string(random() % 100), 0700 + static_cast<unsigned>(random() % 64)});
    if (kind == 'h') items.back().value = names[pick(names.size())];
  }
  return items;
}

// Several orders of feeding give one tree, or all fail; returns it.
std::optional<Tree> unpack_in_orders(const std::vector<std::string>& tars, std::mt19937& random, int turns) {
  std::vector<Tree> trees;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tars.size(); ++i) order.push_back(i);
  for (int turn = 0; turn < turns; ++turn) {
    TmpfsDir temporary;
    Bed bed{temporary / "store"};
    const auto made = unpack(bed, tars, order);
    if (made.has_value()) trees.push_back(merged(made.value().directories, temporary / "mnt"));
    std::shuffle(order.begin(), order.end(), random);
  }
  CHECK((trees.empty() || trees.size() == static_cast<std::size_t>(turns)));
  for (const auto& tree : trees) CHECK(tree == trees[0]);
  if (trees.empty()) return std::nullopt;
  return trees[0];
}

}  // namespace

TEST_CASE("layer.md: random layers, in any order of arrival, show what a plain model of the text shows") {
  HUSK_NEEDS_ROOT();
  std::mt19937 random{20261121};  // NOLINT: the same cases in every run
  int compared = 0;
  for (int round = 0; round < 150; ++round) {
    std::vector<std::string> tars;
    Tree model;
    bool valid = true;
    std::string story;
    for (int layer = 0; layer < 4; ++layer) {
      const auto items = random_layer(random, false);
      for (const auto& item : items) story += format_text("{}:{} ", item.kind, item.name);
      story += "| ";
      valid = valid && apply_model(model, items);
      tars.push_back(as_tar(items));
    }
    CAPTURE(story);
    const auto tree = unpack_in_orders(tars, random, 2);
    CHECK(tree.has_value() == valid);
    if (!tree.has_value() || !valid) continue;
    ++compared;
    CHECK(*tree == model);
  }
  CHECK(compared > 40);
}

TEST_CASE("containerd#13030: with hard links too, the order in which layers arrive never matters") {
  HUSK_NEEDS_ROOT();
  std::mt19937 random{42};  // NOLINT: the same cases in every run
  int compared = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> tars;
    for (int layer = 0; layer < 4; ++layer) tars.push_back(as_tar(random_layer(random, true)));
    const auto tree = unpack_in_orders(tars, random, 3);
    if (!tree.has_value()) continue;
    ++compared;
    for (const auto& [name, text] : *tree) {
      CAPTURE(name);
      CHECK_FALSE(text.starts_with("c "));  // no whiteout ever shows
      CHECK(text != "unreadable");
    }
  }
  CHECK(compared > 5);
}
