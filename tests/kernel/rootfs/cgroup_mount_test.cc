// Mounts of type cgroup, on v1 and v2, with and without a cgroup namespace.
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>

#include "base/file.h"
#include "base/kernel_features.h"
#include "base/sys.h"
#include "bundle.h"
#include "rootfs/cgroup_mount.h"

using namespace husk;
using namespace husk::test;

namespace {

void use_cgroup(Bundle& bundle, bool own_namespace, bool cgroup2, std::vector<std::string> options) {
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.mount({.destination = "/sys", .type = "sysfs", .source = "sysfs"});
  bundle.mount({.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = std::move(options)});
  bundle.options.cgroup2 = cgroup2;
  if (own_namespace) {
    bundle.spec.linux.namespaces.push_back({.type = oci::NamespaceType::cgroup});
    bundle.sandbox.more_namespaces = CLONE_NEWCGROUP;
  }
}

Result<std::vector<rootfs::Hierarchy>> own_hierarchies() {
  const auto text = TRY(read_file("/proc/self/cgroup"));
  return rootfs::parse_hierarchies(text);
}

}  // namespace

TEST_CASE("cgroup v1: every hierarchy of the process has its directory, anew or bound") {
  if (kernel::is_cgroup2_mounted()) HUSK_SKIP("the host has no cgroup v1");
  for (const bool own_namespace : {true, false}) {
    CAPTURE(own_namespace);
    Bundle bundle;
  use_cgroup(bundle, own_namespace, false, {"nosuid", "noexec", "nodev", "relatime", "ro"});
    const auto failure = bundle.run([&]() -> Status {
      const auto hierarchies = TRY(own_hierarchies());
      EXPECT(!hierarchies.empty());
      for (const auto& item : hierarchies) {
        const auto path = "/sys/fs/cgroup/" + item.directory;
        EXPECT(mount_flags(path).starts_with("ro,nosuid,nodev,noexec"));
        EXPECT(path_exists(path + "/cgroup.procs"));
        if (own_namespace) EXPECT_EQUAL(item.path, "/");
      }
      EXPECT(mount_flags("/sys/fs/cgroup").starts_with("ro,nosuid,nodev,noexec"));
      EXPECT_EQUAL(outcome(sys::mkdirat(AT_FDCWD, "/sys/fs/cgroup/x", 0755)), "EROFS");
      return ok();
    });
    CHECK_MESSAGE(failure.empty(), failure);
  }
}

TEST_CASE("cgroup v1 without a cgroup namespace shows the process's own cgroup, not the whole tree") {
  if (kernel::is_cgroup2_mounted()) HUSK_SKIP("the host has no cgroup v1");
  CHECK_IN_NAMESPACE([&]() -> Status {
    const auto hierarchies = TRY(own_hierarchies());
    Bundle bundle;
  use_cgroup(bundle, false, false, {"ro"});
    const auto inside = bundle.run([&]() -> Status {
      for (const auto& item : hierarchies) {
        const auto line = mount_line("/sys/fs/cgroup/" + item.directory);
        const auto fields = split(line, ' ');
        EXPECT(fields.size() > 4);
        EXPECT_EQUAL(fields[3], item.path);  // the root of the mount inside its file system
      }
      return ok();
    });
      EXPECT_EQUAL(inside, "");
    return ok();
  });
}

TEST_CASE("cgroup v1 with rw stays writable inside its own namespace") {
  if (kernel::is_cgroup2_mounted()) HUSK_SKIP("the host has no cgroup v1");
  Bundle bundle;
  use_cgroup(bundle, true, false, {"nosuid", "noexec", "nodev", "rw"});
  const auto failure = bundle.run([&]() -> Status {
    EXPECT(mount_flags("/sys/fs/cgroup/pids").starts_with("rw,nosuid,nodev,noexec"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2023-25809: a user namespace without a cgroup namespace sees the host's cgroups read-only") {
  if (kernel::is_cgroup2_mounted()) HUSK_SKIP("the host has no cgroup v1");
  Bundle bundle;
  use_cgroup(bundle, false, false, {"rw"});
  bundle.user_namespace();
  const auto failure = bundle.run([&]() -> Status {
    const auto hierarchies = TRY(own_hierarchies());
    for (const auto& item : hierarchies) EXPECT(mount_flags("/sys/fs/cgroup/" + item.directory).starts_with("ro,"));
    EXPECT(mount_flags("/sys/fs/cgroup").starts_with("ro,"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("cgroup v1 in a user namespace with its own cgroup namespace") {
  if (kernel::is_cgroup2_mounted()) HUSK_SKIP("the host has no cgroup v1");
  Bundle bundle;
  use_cgroup(bundle, true, false, {"rw", "nosuid"});
  bundle.user_namespace();
  const auto failure = bundle.run([&]() -> Status {
    EXPECT(mount_flags("/sys/fs/cgroup/pids").starts_with("rw,nosuid"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

// The machine's /sys/fs/cgroup is v1: a private mount namespace gets v2 there, as a v2 host has it.
TEST_CASE("cgroup v2: mounted anew in a cgroup namespace, bound from the host without one") {
  struct Row {
    bool own_namespace;
    bool user_namespace;
    const char* flags;
  };
  for (const auto& row : {Row{true, false, "rw,nosuid"}, Row{false, false, "rw,nosuid"},
                          Row{true, true, "rw,nosuid"}, Row{false, true, "ro,nosuid"}}) {
    CAPTURE(row.own_namespace);
    CAPTURE(row.user_namespace);
    CHECK_IN_NAMESPACE([&]() -> Status {
      TRY(sys::mount("none", "/sys/fs/cgroup", "cgroup2", 0, ""));
      Bundle bundle;
  use_cgroup(bundle, row.own_namespace, true, {"rw", "nosuid"});
      if (row.user_namespace) bundle.user_namespace();
      const auto inside = bundle.run([&]() -> Status {
        EXPECT(contains(mount_line("/sys/fs/cgroup"), " - cgroup2 "));
        EXPECT(mount_flags("/sys/fs/cgroup").starts_with(row.flags));
        EXPECT(path_exists("/sys/fs/cgroup/cgroup.procs"));
        return ok();
      });
      EXPECT_EQUAL(inside, "");
      return ok();
    });
  }
}
