#include <sys/resource.h>
#include <sys/stat.h>

#include "harness/harness.h"

namespace husk {
namespace {

using test::TempDir;

TEST_CASE("write_atomically leaves the whole new text and no temporary file") {
  const TempDir dir;
  const auto path = dir / "state.json";
  REQUIRE_OK(write_atomically(AT_FDCWD, path, "first", 0600));
  REQUIRE_OK(write_atomically(AT_FDCWD, path, "second", 0600, Durable::yes));
  CHECK(read_file(path).value() == "second");
  CHECK((sys::fstatat(AT_FDCWD, path, 0).value().st_mode & 07777U) == 0600U);
  const auto folder = sys::openat(AT_FDCWD, dir.path(), O_RDONLY | O_DIRECTORY);
  CHECK(sys::list_dir(folder.value().get()).value().size() == 1);
}

TEST_CASE("write_atomically that fails leaves the old text and nothing else") {
  const TempDir dir;
  const auto blocked = dir / "blocked";
  REQUIRE_OK(make_directories(blocked + "/sub"));
  CHECK_FALSE(write_atomically(AT_FDCWD, blocked, "text").has_value());  // a directory with entries stays
  const auto folder = sys::openat(AT_FDCWD, dir.path(), O_RDONLY | O_DIRECTORY);
  CHECK(sys::list_dir(folder.value().get()).value().size() == 1);
  CHECK_FALSE(write_atomically(AT_FDCWD, dir / "none/x", "text").has_value());
}

TEST_CASE("reading is bounded") {
  const TempDir dir;
  REQUIRE_OK(write_atomically(AT_FDCWD, dir / "f", std::string(100000, 'x')));
  CHECK(read_file(dir / "f", 100000).value().size() == 100000);
  const auto refused = read_file(dir / "f", 99999);
  CHECK(test::error_text(refused).find("larger than 99999 bytes") != std::string::npos);
  CHECK(read_file(dir / "absent").error().kind() == Kind::not_found);
}

TEST_CASE("make_directories is idempotent and refuses a file on the way") {
  const TempDir dir;
  CHECK_OK(make_directories(dir / "a/b/c"));
  CHECK_OK(make_directories(dir / "a/b/c"));
  CHECK_OK(make_directories(dir / "a//b/"));
  REQUIRE_OK(write_atomically(AT_FDCWD, dir / "file", ""));
  CHECK_FALSE(make_directories(dir / "file/x").has_value());
}

TEST_CASE("remove_tree removes files, trees, and links but not what links point to") {
  const TempDir dir;
  REQUIRE_OK(make_directories(dir / "t/a/b"));
  REQUIRE_OK(make_directories(dir / "outside"));
  REQUIRE_OK(write_atomically(AT_FDCWD, dir / "outside/kept", "x"));
  REQUIRE_OK(write_atomically(AT_FDCWD, dir / "t/a/b/f", "x"));
  REQUIRE_OK(sys::symlinkat(dir / "outside", AT_FDCWD, dir / "t/a/link"));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, dir / "t/fifo", 0600));
  CHECK_OK(remove_tree(AT_FDCWD, dir / "t/"));
  CHECK_FALSE(path_exists(dir / "t"));
  CHECK(path_exists(dir / "outside/kept"));
  CHECK_OK(remove_tree(AT_FDCWD, dir / "t"));  // absence is success
  CHECK_OK(remove_tree(AT_FDCWD, dir / "outside/kept"));
  CHECK_FALSE(path_exists(dir / "outside/kept"));
}

TEST_CASE("remove_tree does not follow a link that is the top") {
  const TempDir dir;
  REQUIRE_OK(make_directories(dir / "real/x"));
  REQUIRE_OK(sys::symlinkat("real", AT_FDCWD, dir / "link"));
  CHECK_OK(remove_tree(AT_FDCWD, dir / "link"));
  CHECK(path_exists(dir / "real/x"));
  for (const auto* path : {"/", ".", "..", "/usr/.."}) {
    CAPTURE(path);
    CHECK_FALSE(remove_tree(AT_FDCWD, path).has_value());
  }
}

TEST_CASE("remove_tree removes a tree that is deeper than descriptors, stack or PATH_MAX reach") {
  const TempDir dir;
  constexpr int kDepth = 3000;
  auto current = sys::openat(AT_FDCWD, dir.path(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(sys::mkdirat(current.value().get(), "deeper", 0700).has_value());
    current = sys::openat(current.value().get(), "deeper", O_RDONLY | O_DIRECTORY);
    REQUIRE(current.has_value());
  }
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto removed = remove_tree(AT_FDCWD, dir / "deeper");
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_OK(removed);
  CHECK_FALSE(path_exists(dir / "deeper"));
}

TEST_CASE("absolute_path joins with the working directory and leaves absolute paths alone") {
  CHECK(absolute_path("/a/../b").value() == "/a/../b");
  CHECK(absolute_path("x").value() == sys::getcwd().value() + "/x");
  CHECK(absolute_path(".").value() == sys::getcwd().value());
}

}  // namespace
}  // namespace husk
