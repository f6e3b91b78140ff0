// AppArmor profiles and SELinux labels. On a host without them: refusals. With them: tests/vm/suite boots a machine
// with each (--append lsm=…).
#include <linux/magic.h>

#include "labels.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("config.md#linux-process: a label that the host cannot give is refused by name, and nothing is left") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  if (bench.shell("grep -q Y /sys/module/apparmor/parameters/enabled").status.code == 0) HUSK_SKIP("this host has AppArmor");
  const auto refused = bench.husk({"run", "-b", bench.bundle({"true"}, profile("x")), bench.id()});
  CHECK(refused.status.code == 1);
  CHECK_MESSAGE(contains(refused.err, "\"/process/apparmorProfile\": AppArmor is not enabled on this host (hint: "), refused.err);
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"sleep", "1000"}), bench.id("e")}).status.code == 0);
  const auto exec = bench.husk({"exec", "--apparmor", "x", bench.id("e"), "true"});
  CHECK(exec.status.code == 1);
  CHECK_MESSAGE(contains(exec.err, "AppArmor is not enabled on this host"), exec.err);
  REQUIRE(bench.husk({"delete", "-f", bench.id("e")}).status.code == 0);
  CHECK_WORLD(bench, before);
}

TEST_CASE("config-linux.md#mount-label: without SELinux, labels of processes and mounts are refused by name") {
  REQUIRE_E2E();
  Bench bench;
  if (bench.shell("test -e /sys/fs/selinux/load").status.code == 0) HUSK_SKIP("this host has SELinux");
  const auto before = bench.world();
  const auto process = bench.husk({"run", "-b", bench.bundle({"true"}, [](oci::Spec& spec) { spec.process->selinux_label = kBox; }), bench.id()});
  CHECK_MESSAGE(contains(process.err, "\"/process/selinuxLabel\": SELinux is not enabled on this host"), process.err);
  const auto mount = bench.husk({"run", "-b", bench.bundle({"true"}, [](oci::Spec& spec) { spec.linux.mount_label = kBoxFile; }), bench.id()});
  CHECK_MESSAGE(contains(mount.err, "\"/linux/mountLabel\": SELinux is not enabled on this host"), mount.err);
  CHECK_WORLD(bench, before);
}

TEST_CASE("AppArmor: the program, exec and a user namespace run under the profile") {
  REQUIRE_APPARMOR();
  Bench bench;
  load_profiles(bench);
  const auto show = bench.husk({"run", "-b", bench.shell_bundle("cat /proc/self/attr/current", profile("husk-e2e")), bench.id()});
  CHECK_MESSAGE(show.out == "husk-e2e (enforce)\n", (show.out + show.err));
  const auto user = bench.shell_bundle("cat /proc/self/attr/current", profile("husk-e2e", [](oci::Spec& spec) {
    spec.linux.namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
    spec.linux.uid_mappings = spec.linux.gid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
    spec.process->no_new_privileges = true;
  }));
  const auto inside = bench.husk({"run", "-b", user, bench.id()});
  CHECK_MESSAGE(inside.out == "husk-e2e (enforce)\n", (inside.out + inside.err));
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"sleep", "1000"}, profile("husk-e2e")), bench.id("e")}).status.code == 0);
  CHECK(bench.husk({"exec", bench.id("e"), "cat", "/proc/self/attr/current"}).out == "husk-e2e (enforce)\n");
  CHECK(bench.husk({"exec", "--apparmor", "husk-e2e-other", bench.id("e"), "cat", "/proc/self/attr/current"}).out == "husk-e2e-other (enforce)\n");
  const auto denied = bench.shell_bundle("echo x >/tmp/a; cat /bin/hidden", profile("husk-e2e", [&](oci::Spec& spec) {
    spec.mounts.push_back({.destination = "/bin/hidden", .type = "bind", .source = "/etc/hostname", .options = {"bind"}});
    spec.root = oci::Root{.path = bench.path("own"), .readonly = false};
  }));
  REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + bench.path("own")).status.code == 0);
  const auto blocked = bench.husk({"run", "-b", denied, bench.id()});
  CHECK_MESSAGE(contains(blocked.err, "Permission denied"), blocked.err);
}

TEST_CASE("AppArmor: an unknown profile is explained with the path that podman looks for") {
  REQUIRE_APPARMOR();
  Bench bench;
  const auto before = bench.world();
  const auto unknown = bench.husk({"run", "-b", bench.bundle({"true"}, profile("husk-e2e-none")), bench.id()});
  CHECK(unknown.status.code == 1);
  CHECK_MESSAGE(contains(unknown.err, "\"/process/apparmorProfile\": set \"husk-e2e-none\" through `/proc/thread-self/attr/apparmor/exec`"), unknown.err);
  CHECK(contains(unknown.err, "no profile of this name is loaded"));
  CHECK(!contains(unknown.err, "o such file or directory"));
  CHECK_WORLD(bench, before);
}

TEST_CASE("CVE-2019-16884, CVE-2025-52881: a fake /proc of the image takes no label; the process gets its own") {
  REQUIRE_APPARMOR();
  Bench bench;
  load_profiles(bench);
  REQUIRE(bench.shell(format_text("cp -a {0} {1}; for p in self thread-self; do mkdir -p {1}/proc/$p/attr/apparmor; "
                                  "for f in exec current apparmor/exec apparmor/current; do echo untouched >{1}/proc/$p/attr/$f; done; done",
                                  busybox_rootfs(), bench.path("fake"))).status.code == 0);
  const auto bundle = bench.bundle({"sleep", "1000"}, profile("husk-e2e", [&](oci::Spec& spec) {
    spec.root = oci::Root{.path = bench.path("fake"), .readonly = false};
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination.starts_with("/proc"); });
    spec.linux.masked_paths.clear();
    spec.linux.readonly_paths.clear();
  }));
  const auto started = bench.husk({"run", "-d", "-b", bundle, bench.id()});
  REQUIRE_MESSAGE(started.status.code == 0, started.err);
  CHECK(read_file(format_text("/proc/{}/attr/current", bench.pid(bench.id())), 256).value() == "husk-e2e (enforce)\n");
  const auto faked = bench.shell(format_text("cat {0}/proc/*self/attr/exec {0}/proc/*self/attr/apparmor/exec | sort -u", bench.path("fake")));
  CHECK(faked.out == "untouched\n");
}

TEST_CASE("CVE-2025-52881: husk's own /proc is not trusted when it is no procfs, or covered where the label goes") {
  REQUIRE_APPARMOR();
  Bench bench;
  load_profiles(bench);
  const auto bundle = bench.bundle({"cat", "/proc/self/attr/current"}, profile("husk-e2e"));
  const auto fake = bench.shell(format_text("unshare -m --propagation private sh -c 'mkdir -p {0}; mount -t tmpfs none {0}; "
                                            "mkdir -p {0}/thread-self/attr/apparmor {0}/self; echo untouched >{0}/thread-self/attr/apparmor/exec; "
                                            "cp /proc/self/stat {0}/self/; mount --bind {0} /proc; eval \"$HUSK_LINE run -b {1} {2}\"; "
                                            "cat /proc/thread-self/attr/apparmor/exec'",
                                            bench.path("p"), bundle, bench.id()));
  CHECK_MESSAGE(fake.out == "untouched\n", (fake.out + fake.err));
}

TEST_CASE("SELinux: the program and exec have the label") {
  REQUIRE_SELINUX();
  Bench bench;
  load_policy(bench);
  const auto labelled = [](oci::Spec& spec) { spec.process->selinux_label = kBox; };
  const auto show = bench.husk({"run", "-b", bench.shell_bundle("cat /proc/self/attr/current; cat /proc/self/attr/keycreate", labelled), bench.id()});
  CHECK_MESSAGE(contains(show.out, kBox), (show.out + show.err));
  CHECK(show.status.code == 0);
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"sleep", "1000"}), bench.id("e")}).status.code == 0);
  const auto own = bench.husk({"exec", bench.id("e"), "cat", "/proc/self/attr/current"});
  CHECK(contains(own.out, "host_t"));
  const auto exec = bench.husk({"exec", "--process-label", kBox, bench.id("e"), "cat", "/proc/self/attr/current"});
  CHECK_MESSAGE(contains(exec.out, kBox), (exec.out + exec.err));
}

TEST_CASE("SELinux: file systems that are mounted get the mount label, binds keep theirs") {
  REQUIRE_SELINUX();
  Bench bench;
  load_policy(bench);
  const auto bundle = bench.bundle({"sleep", "1000"}, [](oci::Spec& spec) {
    spec.linux.mount_label = kBoxFile;
    spec.linux.masked_paths = {"/proc/scsi", "/sys/firmware", "/proc/acpi"};
    spec.mounts.push_back({.destination = "/dev/mqueue", .type = "mqueue", .source = "mqueue", .options = {}});
    spec.mounts.push_back({.destination = "/dev/bound", .type = "bind", .source = "/etc", .options = {"bind"}});
    spec.mounts.push_back({.destination = "/dev/own", .type = "tmpfs", .source = "tmpfs", .options = {"context=user_u:object_r:box_t:s0"}});
  });
  const auto started = bench.husk({"run", "-d", "-b", bundle, bench.id()});
  REQUIRE_MESSAGE(started.status.code == 0, started.err);
  const auto label = [&](const std::string& path) {
    const auto value = sys::lgetxattr(format_text("/proc/{}/root{}", bench.pid(bench.id()), path), "security.selinux");
    return value.has_value() ? std::string{value.value().c_str()} : value.error().to_string();
  };
  for (const auto* path : {"/dev", "/dev/null", "/dev/pts", "/dev/pts/ptmx", "/dev/mqueue"}) {
    CAPTURE(path);
    CHECK(label(path) == kBoxFile);
  }
  CHECK(label("/dev/own") == "user_u:object_r:box_t:s0");
  CHECK(label("/dev/bound") == "user_u:object_r:host_t:s0");
}

TEST_CASE("SELinux: a label that the policy does not know is explained, and nothing is left") {
  REQUIRE_SELINUX();
  Bench bench;
  load_policy(bench);
  const auto before = bench.world();
  const auto process = bench.husk({"run", "-b", bench.bundle({"true"}, [](oci::Spec& spec) { spec.process->selinux_label = "a:b:c"; }), bench.id()});
  CHECK(process.status.code == 1);
  CHECK_MESSAGE(contains(process.err, "\"/process/selinuxLabel\": set \"a:b:c\" through `/proc/thread-self/attr/"), process.err);
  const auto mount = bench.husk({"run", "-b", bench.bundle({"true"}, [](oci::Spec& spec) {
    spec.linux.mount_label = "a:b:c";
    spec.mounts.push_back({.destination = "/tmp", .type = "tmpfs", .source = "tmpfs", .options = {}});
  }), bench.id()});
  CHECK(mount.status.code == 1);
  CHECK_MESSAGE(contains(mount.err, "\"/linux/mountLabel\": fsconfig"), mount.err);
  CHECK_WORLD(bench, before);
}
