// Rootfs of a container with a user namespace, and idmapped mounts.
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string owner_of(const std::string& path) {
  const auto info = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (!info.has_value()) return info.error().to_string();
  return format_text("{}:{}", info.value().st_uid, info.value().st_gid);
}

bool is_device(const std::string& path, unsigned major_number, unsigned minor_number) {
  const auto info = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  return info.has_value() && S_ISCHR(info.value().st_mode) && info.value().st_rdev == makedev(major_number, minor_number);
}

}  // namespace

TEST_CASE("user namespace: all usual mounts work and the host's device nodes are bound") {
  Bundle bundle;
  bundle.usual_mounts().user_namespace();
  const auto failure = bundle.run([&]() -> Status {
    EXPECT(is_device("/dev/null", 1, 3));
    EXPECT(is_device("/dev/tty", 5, 0));
    EXPECT_EQUAL(outcome(put("/dev/null", "x")), "ok");
    EXPECT(contains(mount_line("/proc"), " - proc "));
    EXPECT(contains(mount_line("/sys"), " - sysfs "));
    EXPECT(contains(mount_line("/dev/mqueue"), " - mqueue "));
    EXPECT(contains(mount_flags("/dev/pts"), "gid=100005"));
    EXPECT_EQUAL(owner_of("/dev"), "0:0");
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("user namespace with the host's network: /sys is the host's, read-only with all below it") {
  Bundle bundle;
  bundle.usual_mounts().user_namespace();
  bundle.sandbox.more_namespaces &= ~static_cast<unsigned long>(CLONE_NEWNET);
  bundle.spec.mounts.back().options = {"nosuid", "noexec", "nodev"};  // rw asked for
  const auto failure = bundle.run([&]() -> Status {
    const auto table = text_of("/proc/self/mountinfo");
    int below = 0;
    for (const auto line : split(table, '\n')) {
      const auto fields = split(line, ' ');
      if (fields.size() < 6 || (fields[4] != "/sys" && !fields[4].starts_with("/sys/"))) continue;
      ++below;
      EXPECT(fields[5].starts_with("ro,nosuid,nodev,noexec"));
      EXPECT(!contains(std::string{line}, "shared:"));
    }
    EXPECT(below > 0);
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("user namespace: a gid of devpts that is not mapped is left out") {
  Bundle bundle;
  bundle.usual_mounts().user_namespace();
  bundle.spec.mounts[2].options = {"newinstance", "ptmxmode=0666", "mode=0620", "gid=70000"};
  const auto failure = bundle.run([&]() -> Status {
    EXPECT(contains(mount_line("/dev/pts"), " - devpts "));
    EXPECT(!contains(mount_flags("/dev/pts"), "gid="));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("user namespace: a rootfs below directories of mode 0700 works") {
  Bundle bundle;
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, bundle.dir.path(), 0700));
  bundle.usual_mounts().user_namespace();
  bundle.image_file("/marker", "inside");
  const auto failure = bundle.run([&]() -> Status {
    EXPECT_EQUAL(text_of("/marker"), "inside");
    EXPECT(contains(mount_line("/proc"), " - proc "));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("user namespace: an rshared bind is a slave of the host's mount, so that nothing comes back") {
  CHECK_IN_NAMESPACE([&]() -> Status {
    Bundle bundle;
    const auto source = bundle.host_dir("source");
    TRY(sys::mount("tmpfs", source, "tmpfs", 0, "mode=777"));
    TRY(make_directories(source + "/inner", 0777));
    TRY(sys::mount("", source, "", MS_SHARED, ""));
    bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
    bundle.user_namespace().bind(source, "/m", {"rbind", "rshared"});
    const auto inside = bundle.run([&]() -> Status {
      EXPECT(contains(mount_line("/m"), " shared:"));
      EXPECT(contains(mount_line("/m"), " master:"));
      return sys::mount("tmpfs", "/m/inner", "tmpfs", 0, "");
    });
      EXPECT_EQUAL(inside, "");
    EXPECT(mount_line(source + "/inner").empty());
    return sys::umount2(source, MNT_DETACH);
  });
}

TEST_CASE("user namespace: masks and read-only paths hold") {
  Bundle bundle;
  bundle.usual_mounts().user_namespace();
  bundle.image_file("/secret", "hidden");
  bundle.spec.linux.masked_paths = {"/secret", "/proc/keys", "/sys/firmware", "/proc/acpi"};
  bundle.spec.linux.readonly_paths = {"/proc/sys", "/proc/bus"};
  const auto failure = bundle.run([&]() -> Status {
    EXPECT_EQUAL(text_of("/secret"), "");
    EXPECT_EQUAL(text_of("/proc/keys"), "");
    EXPECT_EQUAL(outcome(put("/proc/sys/net/ipv4/ip_forward", "1")), "EROFS");
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("user namespace: an image's empty file is covered by the device, another device is an error") {
  Bundle bundle;
  bundle.user_namespace();
  bundle.image_file("/dev/null", "");
  REQUIRE_OK(sys::fchownat(AT_FDCWD, bundle.in_rootfs("/dev"), 100000, 100000, 0));
  auto failure = bundle.run([&]() -> Status {
    EXPECT(is_device("/dev/null", 1, 3));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
  Bundle absent;
  absent.user_namespace();
  absent.spec.linux.devices = {{.type = 'c', .path = "/dev/no-such-device", .major = 240, .minor = 9}};
  CHECK(contains(absent.refused(), "only devices of the host can be given"));
  Bundle other;
  other.user_namespace();
  other.spec.linux.devices = {{.type = 'c', .path = "/dev/zero", .major = 1, .minor = 3}};
  CHECK(contains(other.refused(), "of the host is not character device 1:3"));
}

TEST_CASE("config.md#mounts: uidMappings make a bind idmapped; ridmap takes the mounts below along") {
  for (const auto* option : {"", "idmap", "ridmap"}) {
    CAPTURE(option);
    CHECK_IN_NAMESPACE([&]() -> Status {
      Bundle bundle;
      const auto source = bundle.host_dir("source");
      TRY(sys::mount("tmpfs", source, "tmpfs", 0, ""));
      TRY(put(source + "/file", "x"));
      TRY(make_directories(source + "/below"));
      TRY(sys::mount("tmpfs", source + "/below", "tmpfs", 0, ""));
      TRY(put(source + "/below/file", "x"));
      oci::Mount mount{.destination = "/m", .type = "bind", .source = source, .options = {"rbind"}};
      if (*option != '\0') mount.options.emplace_back(option);
      mount.uid_mappings = {{.container_id = 0, .host_id = 5000, .size = 10}};
      mount.gid_mappings = {{.container_id = 0, .host_id = 6000, .size = 10}};
      bundle.mount(mount);
      mount.destination = "/again";
      bundle.mount(mount);
      const auto inside = bundle.run([&]() -> Status {
        EXPECT_EQUAL(owner_of("/m/file"), "5000:6000");
        EXPECT_EQUAL(owner_of("/again/file"), "5000:6000");
        EXPECT_EQUAL(owner_of("/m/below/file"), std::string{option} == "ridmap" ? "5000:6000" : "0:0");
        return ok();
      });
      EXPECT_EQUAL(inside, "");
      EXPECT_EQUAL(owner_of(source + "/file"), "0:0");
      TRY(sys::umount2(source + "/below", MNT_DETACH));
      return sys::umount2(source, MNT_DETACH);
    });
  }
}

TEST_CASE("idmap without mappings takes those of the container's user namespace") {
  Bundle bundle;
  bundle.user_namespace();
  const auto volume = bundle.host_dir("volume");
  bundle.host_file("volume/file", "x");
  bundle.bind(volume, "/v", {"rbind", "idmap"});
  const auto failure = bundle.run([&]() -> Status {
    EXPECT_EQUAL(owner_of("/v/file"), "0:0");  // root's file on disk is root's inside
    EXPECT_EQUAL(outcome(put("/v/new", "x")), "ok");
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
  CHECK(owner_of(volume + "/new") == "0:0");
}

TEST_CASE("a file system that cannot be idmapped is named with a hint") {
  Bundle bundle;
  bundle.spec.mounts.push_back({.destination = "/m", .type = "bind", .source = "/proc", .options = {"bind"},
                                .uid_mappings = {{.container_id = 0, .host_id = 5000, .size = 10}},
                                .gid_mappings = {{.container_id = 0, .host_id = 5000, .size = 10}}});
  const auto text = bundle.refused();
  CHECK(contains(text, "\"/mounts/0\""));
  CHECK(contains(text, "the source is on proc, which no kernel can idmap"));
}
