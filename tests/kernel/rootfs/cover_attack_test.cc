// Images and texts that would leave a mask or a read-only path out, or bring a mount into /proc by another way.
#include <linux/mount.h>
#include <sched.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

namespace {

Status expect_null(const std::string& path) {
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
  EXPECT(S_ISCHR(info.st_mode));
  EXPECT(info.st_rdev == makedev(1, 3));
  return ok();
}

// The usual mounts in namespaces of their own, so that sysfs waits for the network.
void use_own_namespaces(Bundle& bundle) {
  bundle.usual_mounts();
  bundle.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
}

constexpr int kRaces = 100;

}  // namespace

TEST_CASE("config-linux.md#masked-paths: a read-only path that covers a whole procfs or sysfs leaves no mask behind") {
  Bundle bundle;
  use_own_namespaces(bundle);
  bundle.spec.linux.masked_paths = {"/proc/keys", "/sys/firmware"};
  bundle.spec.linux.readonly_paths = {"/proc", "/sys"};
  const auto failure = bundle.run([]() -> Status {
    TRY(expect_null("/proc/keys"));
    EXPECT(is_empty_dir("/sys/firmware"));
    EXPECT(contains(mount_flags("/proc"), "ro,"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("a read-only path that an image's link leads to /proc takes no mask away") {
  Bundle bundle;
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.sandbox.more_namespaces = CLONE_NEWPID;
  bundle.image_link("/etc", "/proc");
  bundle.spec.linux.masked_paths = {"/proc/keys"};
  bundle.spec.linux.readonly_paths = {"/etc"};
  const auto failure = bundle.run([] { return expect_null("/proc/keys"); });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("config-linux.md#masked-paths: a path with .. is masked where it leads") {
  Bundle bundle;
  use_own_namespaces(bundle);
  bundle.image_file("/secret", "x");
  bundle.spec.linux.masked_paths = {"/sys/../proc/keys", "/proc/../sys/firmware", "/proc/../secret", "/../proc/./timer_list"};
  bundle.spec.linux.readonly_paths = {"/sys/..//proc/sys"};
  const auto failure = bundle.run([]() -> Status {
    TRY(expect_null("/proc/keys"));
    EXPECT(is_empty_dir("/sys/firmware"));
    TRY(expect_null("/secret"));
    TRY(expect_null("/proc/timer_list"));
    EXPECT(contains(mount_flags("/proc/sys"), "ro,"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2019-16884: a link that appears while a mount point is made does not lead a volume into /proc") {
  Bundle bundle;
  use_own_namespaces(bundle);
  const auto shared = bundle.host_dir("shared");
  bundle.bind(shared, "/shared", {"bind"});
  bundle.bind(bundle.host_dir("payload"), "/shared/made", {"bind"});
  bundle.bind(bundle.host_file("payload.txt", "x"), "/shared/file", {"bind"});
  const auto flicker = [](const char* target, const std::string& path) {
    return [target, path] {
      (void)!::symlink(target, path.c_str());
      (void)::unlink(path.c_str());
      (void)::rmdir(path.c_str());
    };
  };
  const Neighbour directory{flicker("/proc/sys", shared + "/made")};
  const Neighbour file{flicker("/proc/version", shared + "/file")};
  for (int i = 0; i < kRaces; ++i) {
    const auto failure = bundle.run([]() -> Status {
      EXPECT(mount_line("/proc/sys").empty());
      EXPECT(mount_line("/proc/version").empty());
      return ok();
    });
    CHECK_MESSAGE(!contains(failure, "expected"), failure);
  }
}

// A hierarchy of its own: all of them, or one of many.
std::string cgroups_in_container() {
  return sys::fstatat(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 0).has_value() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
}

TEST_CASE("a remount that an image's link leads to procfs, sysfs or cgroups lifts no restriction there") {
  for (const auto& target : {std::string{"/proc/sys"}, std::string{"/proc"}, std::string{"/sys"}, cgroups_in_container()}) {
    CAPTURE(target);
    Bundle bundle;
    use_own_namespaces(bundle);
    bundle.mount({.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = {"ro"}});
    bundle.image_link("/data", target);
    bundle.mount({.destination = "/data", .type = "bind", .source = "x", .options = {"remount", "bind", "rw"}});
    bundle.spec.linux.readonly_paths = {"/proc/sys"};
    const auto failure = bundle.run([]() -> Status {
      EXPECT(contains(mount_flags("/proc/sys"), "ro,"));
      EXPECT(contains(mount_flags("/sys"), "ro,"));
      return ok();
    });
    CHECK_MESSAGE(contains(failure, "remount"), failure);
  }
}
