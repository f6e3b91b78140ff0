#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>
#include <thread>

#include "base/file.h"
#include "base/root_dir.h"
#include "harness/harness.h"

namespace husk {
namespace {

// A mount inside a tree that is removed. In a mount namespace of its own: unshare works on the calling
// thread, and the namespace goes with it.
Status remove_around_a_mount(const std::string& top) {
  TRY(sys::unshare(CLONE_NEWNS));
  TRY(sys::mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
  TRY(make_directories(top + "/tree/mounted"));
  TRY(make_directories(top + "/host"));
  TRY(write_atomically(AT_FDCWD, top + "/host/kept", "x"));
  TRY(sys::mount(top + "/host", top + "/tree/mounted", "", MS_BIND, ""));
  const auto inside = remove_tree(AT_FDCWD, top + "/tree");
  const auto itself = remove_tree(AT_FDCWD, top + "/tree/mounted");
  if (inside.has_value() || itself.has_value()) return Error{Kind::internal, "a mount point was removed"};
  if (inside.error().kind() != Kind::busy) return inside.error();
  if (!path_exists(top + "/host/kept")) return Error{Kind::internal, "what is mounted was emptied"};
  TRY(sys::umount2(top + "/tree/mounted", 0));
  TRY(remove_tree(AT_FDCWD, top + "/tree"));
  return ok();
}

TEST_CASE("remove_tree stops at a mount point and leaves what is mounted alone") {
  if (!test::is_root()) HUSK_SKIP("needs root to mount");
  const test::TempDir dir;
  Status result = ok();
  std::thread{[&] { result = remove_around_a_mount(dir.path()); }}.join();
  CHECK_OK(result);
  CHECK(path_exists(dir / "host/kept"));
}

TEST_CASE("open_file refuses device nodes of an image") {
  if (!test::is_root()) HUSK_SKIP("needs root to make device nodes");
  const test::TempDir dir;
  const auto made = sys::mknodat(AT_FDCWD, dir / "watchdog", S_IFCHR | 0600, makedev(1, 3));
  if (!made.has_value()) HUSK_SKIP("may not make device nodes here");
  const auto root = RootDir::open(dir.path());
  REQUIRE_OK(root);
  const auto file = root.value().open_file("watchdog", O_RDWR);
  CHECK(test::error_text(file).find("not a regular file") != std::string::npos);
}

}  // namespace
}  // namespace husk
