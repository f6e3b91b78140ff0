#include "base/root_dir.h"

#include <sys/stat.h>

#include "harness/harness.h"

namespace husk {
namespace {

using test::TempDir;

// A rootfs with every kind of link that tries to get out, beside a directory that must stay as it is.
struct Sandbox {
  TempDir dir;
  Sandbox() {
    REQUIRE_OK(make_directories(dir / "rootfs/etc"));
    REQUIRE_OK(make_directories(dir / "rootfs/usr/lib"));
    REQUIRE_OK(make_directories(dir / "host"));
    REQUIRE_OK(write_atomically(AT_FDCWD, dir / "host/secret", "host"));
    REQUIRE_OK(write_atomically(AT_FDCWD, dir / "rootfs/etc/passwd", "inside"));
    link(dir / "host", "rootfs/absolute");
    link("../../../../../../../../../../..", "rootfs/up");
    link("../host", "rootfs/relative");
    link("/etc", "rootfs/usr/to_etc");
    link("/loop", "rootfs/loop");
    link("/nowhere/deep", "rootfs/dangling");
  }
  void link(const std::string& target, const std::string& name) const { REQUIRE_OK(sys::symlinkat(target, AT_FDCWD, dir / name)); }
  RootDir root() const {
    auto opened = RootDir::open(dir / "rootfs");
    REQUIRE_OK(opened);
    return std::move(opened).value();
  }
};

ino_t inode(int fd) { return sys::fstat(fd).value().st_ino; }

TEST_CASE("CVE-2019-18837, CVE-2021-30465: links of an image resolve inside the root or not at all") {
  const Sandbox box;
  const auto root = box.root();
  for (const auto* path : {"absolute/secret", "/absolute/secret", "relative/secret", "up/host/secret", "../host/secret",
                           "/../host/secret", "etc/../../host/secret", "usr/to_etc/../../host/secret", "loop", "dangling"}) {
    CAPTURE(path);
    CHECK_FALSE(root.open_path(path).has_value());
    CHECK_FALSE(root.read_file(path, 100).has_value());
  }
}

TEST_CASE("paths and links that stay inside work; \"..\" of the root is the root") {
  const Sandbox box;
  const auto root = box.root();
  for (const auto* path : {"etc/passwd", "/etc/passwd", "../etc/passwd", "usr/to_etc/passwd", "up/etc/passwd", "./etc//passwd"}) {
    CAPTURE(path);
    const auto text = root.read_file(path, 100);
    CHECK_OK(text);
    CHECK(text.value() == "inside");
  }
  CHECK(inode(root.open_path("up").value().get()) == inode(root.fd()));
  CHECK(inode(root.open_path("/").value().get()) == inode(root.fd()));
  CHECK(inode(root.open_path("").value().get()) == inode(root.fd()));
}

TEST_CASE("O_NOFOLLOW opens the link itself") {
  const Sandbox box;
  const auto fd = box.root().open_path("usr/to_etc", O_NOFOLLOW);
  REQUIRE_OK(fd);
  CHECK(S_ISLNK(sys::fstat(fd.value().get()).value().st_mode));
}

TEST_CASE("CVE-2024-45310: make_directories creates inside the root only") {
  const Sandbox box;
  const auto root = box.root();
  CHECK_OK(root.make_directories("a/b/../c", 0700));
  CHECK(path_exists(box.dir / "rootfs/a/c"));
  CHECK_OK(root.make_directories("usr/to_etc/new"));
  CHECK(path_exists(box.dir / "rootfs/etc/new"));
  CHECK_OK(root.make_directories("up/made"));
  CHECK(path_exists(box.dir / "rootfs/made"));
  CHECK_OK(root.make_directories("dangling/x"));  // where the link leads to, as seen inside
  CHECK(path_exists(box.dir / "rootfs/nowhere/deep/x"));
  CHECK_OK(root.make_directories("absolute/x"));
  CHECK(path_exists(box.dir / "rootfs" + box.dir.path() + "/host/x"));
  CHECK_FALSE(root.make_directories("loop/x").has_value());
  CHECK_FALSE(root.make_directories("etc/passwd/x").has_value());
  const auto host = sys::openat(AT_FDCWD, box.dir / "host", O_RDONLY | O_DIRECTORY);
  CHECK(sys::list_dir(host.value().get()).value().size() == 1);
  CHECK_FALSE(path_exists(box.dir / "made"));
}

TEST_CASE("open_parent gives a directory inside and a plain last name") {
  const Sandbox box;
  const auto root = box.root();
  const auto place = root.open_parent("usr/to_etc/file/");
  REQUIRE_OK(place);
  CHECK(place.value().name == "file");
  CHECK(inode(place.value().parent.get()) == inode(root.open_path("etc").value().get()));
  CHECK_OK(root.open_parent("x/y/z", true));
  CHECK(path_exists(box.dir / "rootfs/x/y"));
  CHECK_FALSE(path_exists(box.dir / "rootfs/x/y/z"));
  for (const auto* path : {"", "/", ".", "..", "etc/..", "a/."}) {
    CAPTURE(path);
    CHECK_FALSE(root.open_parent(path).has_value());
  }
}

TEST_CASE("open_file neither waits on a FIFO nor opens a device or a socket") {
  const Sandbox box;
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, box.dir / "rootfs/fifo", 0600));
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    const auto fifo = box.root().open_file("fifo", flags);
    CHECK(test::error_text(fifo).find("not a regular file") != std::string::npos);
  }
  const auto devices = RootDir::open("/dev");
  REQUIRE_OK(devices);
  const auto device = devices.value().open_file("null", O_RDONLY);
  CHECK(test::error_text(device).find("not a regular file") != std::string::npos);
}

TEST_CASE("a file of procfs is none that an image can name: /proc/kmsg waits for the kernel and takes its log") {
  const auto root = RootDir::open("/");
  REQUIRE_OK(root);
  for (const auto* path : {"/proc/kmsg", "/proc/self/status", "/proc/sys/kernel/ostype"}) {
    const auto opened = root.value().open_file(path, O_RDONLY);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().kind() == Kind::invalid);
  }
  CHECK_OK(root.value().open_file("/proc", O_RDONLY));
}

TEST_CASE("open_file creates where asked, and a link cannot lead the new file outside") {
  const Sandbox box;
  const auto root = box.root();
  CHECK_OK(root.open_file("etc/new", O_WRONLY | O_CREAT | O_EXCL, 0640));
  CHECK((sys::fstatat(AT_FDCWD, box.dir / "rootfs/etc/new", 0).value().st_mode & 07777U) == 0640U);
  CHECK_FALSE(root.open_file("absolute/new", O_WRONLY | O_CREAT, 0644).has_value());
  CHECK_FALSE(path_exists(box.dir / "host/new"));
}

TEST_CASE("reading a file inside is bounded") {
  const Sandbox box;
  CHECK_FALSE(box.root().read_file("etc/passwd", 5).has_value());
  CHECK_OK(box.root().read_file("etc/passwd", 6));
}

TEST_CASE("CVE-2021-30465: a directory and a link that swap places all the time never lead outside") {
  const Sandbox box;
  REQUIRE_OK(make_directories(box.dir / "rootfs/swap"));
  box.link(box.dir / "host", "rootfs/other");
  const auto root = box.root();
  for (int i = 0; i < 2000; ++i) {
    REQUIRE_OK(sys::renameat2(AT_FDCWD, box.dir / "rootfs/swap", AT_FDCWD, box.dir / "rootfs/other", RENAME_EXCHANGE));
    CHECK_FALSE(root.read_file("swap/secret", 100).has_value());
    (void)root.make_directories("swap/made");
  }
  const auto host = sys::openat(AT_FDCWD, box.dir / "host", O_RDONLY | O_DIRECTORY);
  CHECK(sys::list_dir(host.value().get()).value().size() == 1);
}

}  // namespace
}  // namespace husk
