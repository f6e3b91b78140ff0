// Plans applied for real: what the container sees afterwards.
#include <linux/magic.h>
#include <sched.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string type_of(const std::string& path) {
  const auto fd = sys::openat(AT_FDCWD, path, O_PATH);
  if (!fd.has_value()) return fd.error().to_string();
  const auto info = sys::fstatfs(fd.value().get());
  if (!info.has_value()) return info.error().to_string();
  switch (static_cast<unsigned long>(info.value().f_type)) {
    case PROC_SUPER_MAGIC: return "proc";
    case SYSFS_MAGIC: return "sysfs";
    case TMPFS_MAGIC: return "tmpfs";
    case DEVPTS_SUPER_MAGIC: return "devpts";
    case 0x19800202: return "mqueue";
    case CGROUP2_SUPER_MAGIC: return "cgroup2";
    case CGROUP_SUPER_MAGIC: return "cgroup";
    default: return "other";
  }
}

std::string device_at(const std::string& path) {
  const auto info = sys::fstatat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
  if (!info.has_value()) return info.error().to_string();
  const auto& node = info.value();
  const char* kind = S_ISCHR(node.st_mode) ? "c" : S_ISBLK(node.st_mode) ? "b" : S_ISFIFO(node.st_mode) ? "p" : "?";
  return format_text("{} {}:{} {:o} {}:{}", kind, major(node.st_rdev), minor(node.st_rdev), node.st_mode & 07777,
                     node.st_uid, node.st_gid);
}

std::string link_at(const std::string& path) {
  const auto target = sys::readlinkat(AT_FDCWD, path);
  return target.has_value() ? target.value() : target.error().to_string();
}

#define CHECK_RUN(bundle, ...)                     \
  do {                                             \
    const auto failure_ = (bundle).run(__VA_ARGS__); \
    CHECK_MESSAGE(failure_.empty(), failure_);     \
  } while (false)

}  // namespace

TEST_CASE("config.md#mounts: the usual mounts have their types and flags") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(type_of("/proc"), "proc");
    EXPECT_EQUAL(type_of("/dev"), "tmpfs");
    EXPECT_EQUAL(type_of("/dev/pts"), "devpts");
    EXPECT_EQUAL(type_of("/dev/shm"), "tmpfs");
    EXPECT_EQUAL(type_of("/dev/mqueue"), "mqueue");
    EXPECT_EQUAL(type_of("/sys"), "sysfs");
    EXPECT_EQUAL(link_at("/proc/self"), "1");
    EXPECT_EQUAL(mount_flags("/sys"), "ro,nosuid,nodev,noexec,relatime | rw");
    EXPECT(contains(mount_flags("/dev"), "rw,nosuid | rw,size=65536k,mode=755"));  // strictatime shows as nothing
    EXPECT(contains(mount_flags("/dev/pts"), "rw,nosuid,noexec,relatime | rw,gid=5,mode=620,ptmxmode=666"));
    EXPECT(contains(mount_flags("/dev/shm"), "rw,nosuid,nodev,noexec,relatime | rw,size=65536k"));
    EXPECT(contains(mount_line("/dev/shm"), " - tmpfs shm "));
    return ok();
  });
}

TEST_CASE("what needs no network namespace is done before it comes, the rest in the order of config.json") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.mount({.destination = "/sys/fs/cgroup", .type = "tmpfs", .source = "tmpfs"});
  bundle.spec.linux.masked_paths = {"/proc/keys", "/sys/firmware"};
  bundle.spec.linux.readonly_paths = {"/proc/sys"};
  bundle.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
  int calls = 0;
  bundle.enter_network = [&]() -> Status {
    if (++calls > 1) return ok();
    EXPECT_EQUAL(type_of(bundle.in_rootfs("/dev/pts")), "devpts");
    EXPECT_EQUAL(type_of(bundle.in_rootfs("/dev/shm")), "tmpfs");
    EXPECT_EQUAL(type_of(bundle.in_rootfs("/dev/mqueue")), "mqueue");
    EXPECT_EQUAL(device_at(bundle.in_rootfs("/dev/zero")).substr(0, 5), "c 1:5");
    EXPECT_EQUAL(device_at(bundle.in_rootfs("/proc/keys")).substr(0, 5), "c 1:3");
    EXPECT(type_of(bundle.in_rootfs("/sys")) != "sysfs");
    return ok();
  };
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT(calls == 1);
    EXPECT_EQUAL(type_of("/sys"), "sysfs");
    EXPECT_EQUAL(type_of("/sys/fs/cgroup"), "tmpfs");
    EXPECT(contains(mount_flags("/sys/firmware"), "ro,"));
    EXPECT(contains(mount_flags("/proc/sys"), "ro,"));
    return ok();
  });
}

TEST_CASE("a mount behind a link of the image waits for the sysfs that stands before it in config.json") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.image_link("/alias", "/sys/kernel");
  bundle.bind(bundle.host_dir("data"), "/alias", {"bind"});
  bundle.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET;
  bundle.host_file("data/here", "yes");
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(type_of("/sys"), "sysfs");
    return sys::fstatat(AT_FDCWD, "/sys/kernel/here", 0).has_value() ? ok() : Error{Kind::internal, "the bind is below the sysfs"};
  });
}

TEST_CASE("a tmpfs with what the image has, or one that a later mount covers, is no place to go ahead") {
  Bundle bundle;
  bundle.image_link("/dev/inner", "/sys/kernel");
  bundle.mount({.destination = "/dev", .type = "tmpfs", .source = "tmpfs", .options = {"tmpcopyup"}});
  bundle.mount({.destination = "/sys", .type = "sysfs", .source = "sysfs"});
  bundle.mount({.destination = "/dev/inner", .type = "tmpfs", .source = "late"});
  bundle.sandbox.more_namespaces = CLONE_NEWPID | CLONE_NEWNET;
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(type_of("/sys"), "sysfs");
    EXPECT_EQUAL(type_of("/sys/kernel"), "tmpfs");
    return ok();
  });
}

TEST_CASE("config-linux.md#default-devices: nodes and links are there and work") {
  Bundle bundle;
  bundle.usual_mounts();
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(device_at("/dev/null"), "c 1:3 666 0:0");
    EXPECT_EQUAL(device_at("/dev/zero"), "c 1:5 666 0:0");
    EXPECT_EQUAL(device_at("/dev/full"), "c 1:7 666 0:0");
    EXPECT_EQUAL(device_at("/dev/random"), "c 1:8 666 0:0");
    EXPECT_EQUAL(device_at("/dev/urandom"), "c 1:9 666 0:0");
    EXPECT_EQUAL(device_at("/dev/tty"), "c 5:0 666 0:0");
    EXPECT_EQUAL(link_at("/dev/ptmx"), "pts/ptmx");
    EXPECT_EQUAL(link_at("/dev/fd"), "/proc/self/fd");
    EXPECT_EQUAL(link_at("/dev/stdin"), "/proc/self/fd/0");
    EXPECT_EQUAL(link_at("/dev/stdout"), "/proc/self/fd/1");
    EXPECT_EQUAL(link_at("/dev/stderr"), "/proc/self/fd/2");
    EXPECT_EQUAL(outcome(put("/dev/null", "gone")), "ok");
    EXPECT_EQUAL(outcome(put("/dev/full", "x")), "ENOSPC");
    EXPECT(!path_exists("/dev/console"));
    return ok();
  });
}

TEST_CASE("default devices are made in the image's own /dev when nothing is mounted there") {
  Bundle bundle;
  bundle.image_link("/dev/ptmx", "/somewhere");
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(device_at("/dev/null"), "c 1:3 666 0:0");
    EXPECT_EQUAL(link_at("/dev/ptmx"), "pts/ptmx");
    return ok();
  });
  CHECK_RUN(bundle, [] { return ok(); });  // a second time: what exists and matches is taken
}

TEST_CASE("config-linux.md#devices: type, number, mode and owner are as configured, also below new directories") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.spec.linux.devices = {
      {.type = 'c', .path = "/dev/fuse", .major = 10, .minor = 229, .file_mode = 0640, .uid = 7, .gid = 8},
      {.type = 'b', .path = "/dev/deep/er/disk", .major = 8, .minor = 0, .file_mode = 0600},
      {.type = 'u', .path = "/odd/null", .major = 1, .minor = 3},
      {.type = 'p', .path = "/dev/pipe", .file_mode = 0622},
      {.type = 'c', .path = "/dev/null", .major = 1, .minor = 3, .file_mode = 0600}};
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(device_at("/dev/fuse"), "c 10:229 640 7:8");
    EXPECT_EQUAL(device_at("/dev/deep/er/disk"), "b 8:0 600 0:0");
    EXPECT_EQUAL(device_at("/odd/null"), "c 1:3 666 0:0");
    EXPECT_EQUAL(device_at("/dev/pipe"), "p 0:0 622 0:0");
    EXPECT_EQUAL(device_at("/dev/null"), "c 1:3 600 0:0");  // the configured one replaces the default
    return ok();
  });
}

TEST_CASE("config-linux.md#devices: a file that is not the requested device is an error") {
  Bundle bundle;
  bundle.image_file("/dev/null", "not a device");
  const auto text = bundle.refused();
  CHECK(contains(text, "make device \"/dev/null\""));
  CHECK(contains(text, "is not character device 1:3"));
  CHECK(contains(text, "hint: "));
}

TEST_CASE("a /dev that is bound gets no nodes of ours") {
  Bundle bundle;
  bundle.bind(bundle.host_dir("hostdev"), "/dev", {"bind"});
  bundle.spec.linux.devices = {{.type = 'c', .path = "/dev/fuse", .major = 10, .minor = 229}};
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT(!path_exists("/dev/null"));
    EXPECT(!path_exists("/dev/fuse"));
    return ok();
  });
  CHECK(!path_exists(bundle.dir / "hostdev/null"));
}

TEST_CASE("bind mounts: directories, files, missing mount points and mounts below the source") {
  Bundle bundle;
  const auto data = bundle.host_dir("data");
  bundle.host_file("data/file", "from the host");
  bundle.bind(data, "/made/for/it", {"rbind"});
  bundle.bind(data + "/file", "/etc/made", {"bind", "ro"});
  bundle.bind("data", "/relative", {"bind"});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(text_of("/made/for/it/file"), "from the host");
    EXPECT_EQUAL(text_of("/etc/made"), "from the host");
    EXPECT_EQUAL(text_of("/relative/file"), "from the host");
    EXPECT_EQUAL(outcome(put("/etc/made", "x")), "EROFS");
    EXPECT_EQUAL(outcome(put("/made/for/it/new", "x")), "ok");
    return ok();
  });
  CHECK(text_of(data + "/new") == "x");
}

TEST_CASE("a missing source, a file on a directory and a directory on a file are clear errors") {
  Bundle missing;
  missing.bind("/no/such/source", "/a", {"bind"});
  CHECK(contains(missing.refused(), "\"/mounts/0\": mount on \"/a\""));
  CHECK(contains(missing.refused(), "does not exist on the host"));
  Bundle file_on_directory;
  file_on_directory.image_dir("/a");
  file_on_directory.bind(file_on_directory.host_file("f", "x"), "/a", {"bind"});
  CHECK(contains(file_on_directory.refused(), "a file only on a file"));
  Bundle directory_on_file;
  directory_on_file.image_file("/a", "x");
  directory_on_file.bind(directory_on_file.host_dir("d"), "/a", {"bind"});
  CHECK(contains(directory_on_file.refused(), "a directory can only be mounted on a directory"));
  Bundle no_rootfs;
  no_rootfs.spec.root->path = "nowhere";
  CHECK(contains(no_rootfs.refused(), "root.path of config.json must be an existing directory"));
  Bundle file_rootfs;
  file_rootfs.spec.root->path = file_rootfs.host_file("f", "x");
  CHECK(contains(file_rootfs.refused(), "is no directory"));
}

TEST_CASE("mount points behind links of the image that lead nowhere are made inside") {
  Bundle bundle;
  bundle.image_link("/var/run", "/run");
  bundle.image_link("/etc/resolv.conf", "../run/systemd/resolve/stub.conf");
  bundle.bind(bundle.host_dir("secrets"), "/var/run/secrets", {"rbind", "ro"});
  bundle.bind(bundle.host_file("resolv", "nameserver"), "/etc/resolv.conf", {"bind"});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT(!mount_line("/run/secrets").empty() || path_exists("/run/secrets"));
    EXPECT_EQUAL(text_of("/run/systemd/resolve/stub.conf"), "nameserver");
    return ok();
  });
}

TEST_CASE("flags of bind mounts: set, cleared, and recursive with rro") {
  struct Row {
    std::vector<std::string> options;
    std::string flags;      // of the mount itself
    std::string below;      // of a mount inside the source
  };
  const Row rows[] = {
      {{"rbind"}, "rw,nosuid,noexec,relatime", "rw,nodev,relatime"},
      {{"rbind", "ro"}, "ro,nosuid,noexec,relatime", "rw,nodev,relatime"},
      {{"rbind", "rro"}, "ro,nosuid,noexec,relatime", "ro,nodev,relatime"},
      {{"rbind", "suid", "exec"}, "rw,relatime", "rw,nodev,relatime"},
      {{"rbind", "rdev", "rsuid", "rexec"}, "rw,relatime", "rw,relatime"},
      {{"rbind", "noatime", "rnosymfollow"}, "rw,nosuid,noexec,noatime,nosymfollow", "rw,nodev,relatime,nosymfollow"},
      {{"rbind", "rstrictatime", "rnodiratime"}, "rw,nosuid,noexec,nodiratime", "rw,nodev,nodiratime"},
      {{"rbind", "ro", "rrw"}, "rw,nosuid,noexec,relatime", "rw,nodev,relatime"},
      {{"bind", "ro", "noexec", "nodev"}, "ro,nosuid,nodev,noexec,relatime", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(join(row.options, ","));
    CHECK_IN_NAMESPACE([&]() -> Status {
      Bundle bundle;
      const auto source = bundle.host_dir("source");
      TRY(sys::mount("tmpfs", source, "tmpfs", 2 | 8, ""));  // nosuid, noexec
      TRY(make_directories(source + "/below"));
      TRY(sys::mount("tmpfs", source + "/below", "tmpfs", 4, ""));  // nodev
      bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
      bundle.bind(source, "/m", row.options);
      const auto inside = bundle.run([&]() -> Status {
        EXPECT(mount_flags("/m").starts_with(row.flags + " |"));
        if (row.below.empty()) {
          EXPECT(mount_line("/m/below").empty());
        } else {
          EXPECT(mount_flags("/m/below").starts_with(row.below + " |"));
        }
        return ok();
      });
      EXPECT_EQUAL(inside, "");
      TRY(sys::umount2(source + "/below", 2));
      return sys::umount2(source, 2);
    });
  }
}

TEST_CASE("config.md#mounts: propagation options, and rslave by default") {
  struct Row {
    std::vector<std::string> options;
    bool shared;
    bool master;
  };
  for (const auto& row : {Row{{"rbind"}, false, true}, Row{{"rbind", "rprivate"}, false, false},
                          Row{{"rbind", "rslave"}, false, true}, Row{{"rbind", "rshared"}, true, false},
                          Row{{"rbind", "private"}, false, false}}) {
    CAPTURE(join(row.options, ","));
    CHECK_IN_NAMESPACE([&]() -> Status {
      Bundle bundle;
      const auto source = bundle.host_dir("source");
      TRY(sys::mount("tmpfs", source, "tmpfs", 0, ""));
      TRY(sys::mount("", source, "", 1UL << 20U, ""));  // MS_SHARED
      bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
      bundle.bind(source, "/m", row.options);
      const auto inside = bundle.run([&]() -> Status {
        const auto line = mount_line("/m");
        EXPECT(contains(line, " shared:") == row.shared);
        EXPECT(contains(line, " master:") == row.master);
        TRY(make_directories("/m/inner"));
        return sys::mount("tmpfs", "/m/inner", "tmpfs", 0, "");
      });
      EXPECT_EQUAL(inside, "");
      // Only a shared mount tells the host.
      EXPECT(mount_line(source + "/inner").empty() != row.shared);
      (void)sys::umount2(source + "/inner", 2);
      return sys::umount2(source, 2);
    });
  }
}

TEST_CASE("config-linux.md#rootfs-mount-propagation: the root gets the type asked for") {
  struct Row {
    const char* value;
    const char* expected;
  };
  for (const auto& row : {Row{"", ""}, Row{"private", ""}, Row{"rprivate", ""}, Row{"shared", " shared:"},
                          Row{"rshared", " shared:"}, Row{"unbindable", " unbindable"}}) {
    CAPTURE(row.value);
    Bundle bundle;
    bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
    bundle.spec.linux.rootfs_propagation = row.value;
    CHECK_RUN(bundle, [&]() -> Status {
      const auto line = mount_line("/");
      if (*row.expected != '\0') EXPECT(contains(line, row.expected));
      if (*row.expected == '\0') EXPECT(!contains(line, "shared:") && !contains(line, "unbindable"));
      return ok();
    });
  }
}

TEST_CASE("nothing that is mounted in the container appears on the host, not even below a shared rootfs") {
  CHECK_IN_NAMESPACE([&]() -> Status {
    for (const auto* propagation : {"", "rshared", "rprivate", "rslave"}) {
      Bundle bundle;
      TRY(sys::mount(bundle.rootfs(), bundle.rootfs(), "", 4096, ""));
      TRY(sys::mount("", bundle.rootfs(), "", 1UL << 20U, ""));  // MS_SHARED
      bundle.usual_mounts();
      bundle.spec.linux.rootfs_propagation = propagation;
      const auto before = text_of("/proc/self/mountinfo");
      const auto inside = bundle.run([] { return ok(); });
      EXPECT_EQUAL(inside, "");
      EXPECT_EQUAL(text_of("/proc/self/mountinfo"), before);
      TRY(sys::umount2(bundle.rootfs(), 2));
    }
    return ok();
  });
}

TEST_CASE("config.md#root: readonly makes the root read-only, not the mounts on it") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.spec.root->readonly = true;
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(outcome(put("/x", "x")), "EROFS");
    EXPECT_EQUAL(outcome(put("/dev/shm/x", "x")), "ok");
    return ok();
  });
}

TEST_CASE("a failed apply leaves the host's mounts as they were") {
  Bundle bundle;
  bundle.usual_mounts().mount({.destination = "/bad", .type = "no-such-fs", .source = "x"});
  const auto before = text_of("/proc/self/mountinfo");
  const auto text = bundle.refused();
  CHECK(contains(text, "\"/mounts/6\": mount \"no-such-fs\" on \"/bad\""));
  CHECK(contains(text, "the kernel has no file system"));
  CHECK(text_of("/proc/self/mountinfo") == before);
}

TEST_CASE("unknown options go to the file system, whose own words come back") {
  Bundle bundle;
  bundle.mount({.destination = "/t", .type = "tmpfs", .source = "t", .options = {"size=1m,nr_inodes=5", "mode=0700", "uid=5"}});
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT(contains(mount_flags("/t"), "size=1024k,nr_inodes=5,mode=700,uid=5"));
    return ok();
  });
  Bundle wrong;
  wrong.mount({.destination = "/t", .type = "tmpfs", .source = "t", .options = {"flavour=sweet"}});
  CHECK(contains(wrong.refused(), "kernel says"));
  CHECK(contains(wrong.refused(), "flavour"));
}

TEST_CASE("a tmpfs takes the mode of the image's directory unless told otherwise") {
  Bundle bundle;
  bundle.image_dir("/kept");
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, bundle.in_rootfs("/kept"), 0711));
  bundle.mount({.destination = "/kept", .type = "tmpfs", .source = "t"});
  bundle.mount({.destination = "/new", .type = "tmpfs", .source = "t"});
  CHECK_RUN(bundle, [&]() -> Status {
    const auto kept = TRY(sys::fstatat(AT_FDCWD, "/kept", 0));
    const auto made = TRY(sys::fstatat(AT_FDCWD, "/new", 0));
    EXPECT((kept.st_mode & 07777) == 0711);
    EXPECT((made.st_mode & 07777) == 01777);
    return ok();
  });
}

TEST_CASE("a read-only tmpfs still gets the mount points and devices inside it") {
  Bundle bundle;
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.mount({.destination = "/dev", .type = "tmpfs", .source = "tmpfs", .options = {"mode=755", "ro"}});
  bundle.mount({.destination = "/dev/pts", .type = "devpts", .source = "devpts"});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(device_at("/dev/null"), "c 1:3 666 0:0");
    EXPECT_EQUAL(type_of("/dev/pts"), "devpts");
    EXPECT_EQUAL(outcome(put("/dev/new", "x")), "EROFS");
    return ok();
  });
}

TEST_CASE("remount changes the flags of what is mounted, and the file system's settings") {
  Bundle bundle;
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.mount({.destination = "/t", .type = "tmpfs", .source = "t", .options = {"size=1m"}});
  bundle.mount({.destination = "/t", .type = "", .source = "", .options = {"remount", "bind", "ro", "nosuid"}});
  bundle.mount({.destination = "/u", .type = "tmpfs", .source = "t", .options = {"size=1m"}});
  bundle.mount({.destination = "/u", .type = "tmpfs", .source = "t", .options = {"remount", "size=2m", "noexec"}});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT(mount_flags("/t").starts_with("ro,nosuid,relatime | rw,size=1024k"));
    EXPECT(contains(mount_flags("/u"), "rw,noexec,relatime | rw,size=2048k"));
    return ok();
  });
  Bundle nothing;
  nothing.image_dir("/plain");
  nothing.mount({.destination = "/plain", .options = {"remount", "bind", "ro"}});
  CHECK(contains(nothing.refused(), "only a mount point can be remounted"));
}

TEST_CASE("tmpcopyup copies types, modes, owners, times and links of the image's directory") {
  Bundle bundle;
  bundle.image_file("/var/lib/app/config", "text");
  bundle.image_link("/var/lib/app/link", "config");
  bundle.image_dir("/var/lib/app/sub/deep");
  bundle.image_file("/var/lib/app/sub/deep/file", std::string(200'000, 'x'));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, bundle.in_rootfs("/var/lib/app/fifo"), 0600));
  REQUIRE_OK(sys::fchownat(AT_FDCWD, bundle.in_rootfs("/var/lib/app/config"), 33, 34, 0));
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, bundle.in_rootfs("/var/lib/app/config"), 04750));
  const timespec times[2] = {{.tv_sec = 1'000'000, .tv_nsec = 5}, {.tv_sec = 2'000'000, .tv_nsec = 6}};
  REQUIRE_OK(sys::utimensat(AT_FDCWD, bundle.in_rootfs("/var/lib/app/config"), times, 0));
  REQUIRE_OK(sys::lsetxattr(bundle.in_rootfs("/var/lib/app/config"), "trusted.note", "kept"));
  bundle.mount({.destination = "/var/lib/app", .type = "tmpfs", .source = "t", .options = {"tmpcopyup", "ro"}});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(type_of("/var/lib/app"), "tmpfs");
    EXPECT_EQUAL(text_of("/var/lib/app/config"), "text");
    EXPECT_EQUAL(link_at("/var/lib/app/link"), "config");
    EXPECT(text_of("/var/lib/app/sub/deep/file").size() == 200'000);
    EXPECT_EQUAL(device_at("/var/lib/app/fifo"), "p 0:0 600 0:0");
    const auto info = TRY(sys::fstatat(AT_FDCWD, "/var/lib/app/config", 0));
    EXPECT((info.st_mode & 07777) == 04750);
    EXPECT(info.st_uid == 33 && info.st_gid == 34);
    EXPECT(info.st_mtim.tv_sec == 2'000'000 && info.st_mtim.tv_nsec == 6);
    const auto note = TRY(sys::lgetxattr("/var/lib/app/config", "trusted.note"));
    EXPECT_EQUAL(note, "kept");
    EXPECT_EQUAL(outcome(put("/var/lib/app/new", "x")), "EROFS");
    return ok();
  });
}

TEST_CASE("config-linux.md#masked-paths and #readonly-paths") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.sandbox.more_namespaces = CLONE_NEWPID;
  bundle.image_file("/secret/file", "hidden");
  bundle.image_file("/single", "hidden");
  bundle.image_file("/fixed/file", "visible");
  bundle.spec.linux.masked_paths = {"/proc/kcore", "/proc/cmdline", "/proc/keys", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/secret",
                                    "/single", "/proc/no-such-file", "/single/below-a-file"};
  bundle.spec.linux.readonly_paths = {"/proc/sys", "/proc/sysrq-trigger", "/proc/bus", "/fixed", "/proc/no-such-file"};
  CHECK_RUN(bundle, [&]() -> Status {
    for (const auto* path : {"/proc/cmdline", "/proc/keys", "/single"}) {
      EXPECT_EQUAL(text_of(path), "");
      EXPECT(contains(device_at(path), "c 1:3"));
    }
    const auto fd = TRY(sys::openat(AT_FDCWD, "/secret", O_RDONLY | O_DIRECTORY));
    const auto entries = TRY(sys::list_dir(fd.get()));
    EXPECT(entries.empty());
    EXPECT_EQUAL(outcome(put("/secret/new", "x")), "EROFS");
    EXPECT(mount_flags("/secret").starts_with("ro,nosuid,nodev,noexec"));
    EXPECT_EQUAL(outcome(put("/proc/sys/kernel/hostname", "x")), "EROFS");
    EXPECT_EQUAL(text_of("/fixed/file"), "visible");
    EXPECT_EQUAL(outcome(put("/fixed/file", "x")), "EROFS");
    return ok();
  });
}

TEST_CASE("--no-pivot: the same container through chroot") {
  Bundle bundle;
  bundle.usual_mounts();
  bundle.options.no_pivot = true;
  bundle.image_file("/marker", "inside");
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(text_of("/marker"), "inside");
    EXPECT_EQUAL(type_of("/proc"), "proc");
    EXPECT(!path_exists("/tmp"));
    return ok();
  });
}

TEST_CASE("after enter nothing of the old root is reachable, and the working directory is the root") {
  Bundle bundle;
  bundle.usual_mounts();
  CHECK_RUN(bundle, [&]() -> Status {
    const auto cwd = TRY(sys::getcwd());
    EXPECT_EQUAL(cwd, "/");
    EXPECT(!path_exists("/../tmp"));
    const auto table = text_of("/proc/self/mountinfo");
    const auto lines = split(table, '\n');
    EXPECT(lines.size() == 1 + 1 + 6);  // the root, six mounts, the empty end
    return ok();
  });
}

TEST_CASE("an overlay in the configuration may have directories longer than fsconfig takes") {
  Bundle bundle;
  const std::string deep = std::string(100, 'a') + "/" + std::string(100, 'b') + "/" + std::string(100, 'c');
  const auto one = bundle.host_dir(deep + "/one:1");
  const auto two = bundle.host_dir(deep + "/two");
  bundle.host_file(deep + "/one:1/first", "1");
  bundle.host_file(deep + "/two/second", "2");
  const auto upper = bundle.host_dir(deep + "/upper");
  const auto work = bundle.host_dir(deep + "/work");
  const auto escaped = one.substr(0, one.size() - 2) + "\\:1";
  bundle.mount({.destination = "/o", .type = "overlay", .source = "overlay",
                .options = {"lowerdir=" + escaped + ":" + two, "upperdir=" + upper, "workdir=" + work, "private"}});
  CHECK_RUN(bundle, [&]() -> Status {
    EXPECT_EQUAL(text_of("/o/first"), "1");
    EXPECT_EQUAL(text_of("/o/second"), "2");
    return put("/o/third", "3");
  });
  CHECK(text_of(upper + "/third") == "3");
}

TEST_CASE("mounts are found at the bundle's path before enter, as createContainer hooks expect") {
  Bundle bundle;
  bundle.usual_mounts();
  CHECK_RUN(bundle, [] { return ok(); }, [&](const rootfs::Applied&) -> Status {
    EXPECT_EQUAL(type_of(bundle.in_rootfs("/proc")), "proc");
    EXPECT_EQUAL(type_of(bundle.in_rootfs("/dev/shm")), "tmpfs");
    const auto cwd = TRY(sys::getcwd());
    EXPECT_EQUAL(cwd, bundle.rootfs());
    return ok();
  });
}
