// Images and neighbours that lie: each test is one hole that another runtime had.
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>

#include "base/file.h"
#include "base/sys.h"
#include "bundle.h"

using namespace husk;
using namespace husk::test;

namespace {

// Exchanges two names, as a neighbour with access to a shared volume would.
Neighbour swapper(const std::string& left, const std::string& right) {
  return Neighbour{[=] { (void)::renameat2(AT_FDCWD, left.c_str(), AT_FDCWD, right.c_str(), RENAME_EXCHANGE); }};
}

constexpr int kRaces = 60;

}  // namespace

TEST_CASE("CVE-2019-18837: an absolute link as a mount's destination stays inside the rootfs") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  bundle.image_link("/data", outside);
  bundle.bind(bundle.host_dir("volume"), "/data/made", {"bind"});
  bundle.mount({.destination = "/data2", .type = "tmpfs", .source = "t"});
  bundle.image_link("/data2", "../../../../../../.." + outside);
  CHECK(bundle.refused() == "");
  CHECK(is_empty_dir(outside));
}

TEST_CASE("CVE-2024-45310: missing mount points are made inside, never through a link to the host") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  bundle.image_link("/a", outside + "/planted");
  bundle.image_link("/b", outside + "/file");
  bundle.bind(bundle.host_dir("volume"), "/a/deep/er", {"bind"});
  bundle.bind(bundle.host_file("f", "x"), "/b", {"bind"});
  CHECK(bundle.refused() == "");
  CHECK(is_empty_dir(outside));
}

TEST_CASE("CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: proc and sysfs only on ordinary directories") {
  for (const auto* type : {"proc", "sysfs"}) {
    const std::string destination = std::string{type} == "proc" ? "/proc" : "/sys";
    CAPTURE(type);
    Bundle link;
    link.image_dir("/elsewhere");
    link.image_link(destination, "elsewhere");
    link.mount({.destination = destination, .type = type, .source = type});
    CHECK(contains(link.refused(), "must be an ordinary directory"));
    Bundle dangling;
    dangling.image_link(destination, "nowhere");
    dangling.mount({.destination = destination, .type = type, .source = type});
    CHECK(contains(dangling.refused(), "must be an ordinary directory"));
    Bundle file;
    file.image_file(destination, "x");
    file.mount({.destination = destination, .type = type, .source = type});
    CHECK(contains(file.refused(), "must be an ordinary directory"));
    Bundle parent;
    parent.image_dir("/real/inner");
    parent.image_link("/link", "real");
    parent.mount({.destination = "/link/inner", .type = type, .source = type});
    CHECK(contains(parent.refused(), "must be an ordinary directory"));
  }
}

TEST_CASE("no mount covers the rootfs through a link: exec would enter the mount instead of the image") {
  for (const auto* target : {"/", ".", "../..", "etc/.."}) {
    CAPTURE(target);
    Bundle linked;
    linked.image_dir("/etc");
    linked.image_link("/dev", target);
    linked.mount({.destination = "/dev", .type = "tmpfs", .source = "tmpfs"});
    CHECK(contains(linked.refused(), "leads to the rootfs itself"));
  }
}

TEST_CASE("CVE-2019-16884: no mount covers a part of /proc, by name or through a link, and no fake /proc is bound") {
  Bundle named;
  named.usual_mounts();
  named.bind(named.host_dir("fake"), "/proc/self/attr", {"bind"});
  CHECK(contains(named.refused(), "is inside /proc"));
  Bundle linked;
  linked.usual_mounts();
  linked.image_link("/way", "/proc");
  linked.bind(linked.host_dir("fake"), "/way/sys", {"bind"});
  CHECK(contains(linked.refused(), "leads into /proc"));
  Bundle fake;
  fake.bind(fake.host_dir("fake"), "/proc", {"bind"});
  CHECK(contains(fake.refused(), "is no procfs"));
  Bundle dotted;
  dotted.usual_mounts();
  dotted.bind(dotted.host_dir("fake"), "/x/../proc//./sys", {"bind"});
  CHECK(contains(dotted.refused(), "is inside /proc"));
  Bundle allowed;
  allowed.usual_mounts();
  allowed.bind(allowed.host_file("cpuinfo", "one cpu"), "/proc/cpuinfo", {"bind"});
  const auto failure = allowed.run([]() -> Status {
    EXPECT_EQUAL(text_of("/proc/cpuinfo"), "one cpu");
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2026-41579, CVE-2026-47766: a /dev that is a link is refused and nothing is made behind it") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  bundle.image_link("/dev", outside);
  CHECK(contains(bundle.refused(), "\"/dev\" of the rootfs must be an ordinary directory"));
  CHECK(is_empty_dir(outside));
  Bundle inside;
  inside.image_dir("/etc");
  inside.image_link("/dev", "etc");
  CHECK(contains(inside.refused(), "must be an ordinary directory"));
  CHECK(is_empty_dir(inside.in_rootfs("/etc")));
}

TEST_CASE("CVE-2026-88264: a device path that is a link is an error; nothing appears at its target") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  bundle.image_link("/dev/fuse", outside + "/fuse");
  bundle.spec.linux.devices = {{.type = 'c', .path = "/dev/fuse", .major = 10, .minor = 229}};
  CHECK(contains(bundle.refused(), "exists and is not character device 10:229"));
  CHECK(is_empty_dir(outside));
  Bundle deep;
  const auto target = deep.host_dir("outside");
  deep.image_link("/dev/net", target);
  deep.spec.linux.devices = {{.type = 'c', .path = "/dev/net/tun", .major = 10, .minor = 200}};
  CHECK(deep.refused() == "");
  CHECK(is_empty_dir(target));
}

TEST_CASE("CVE-2025-31133: masked files are covered by the host's /dev/null, whatever the image has there") {
  Bundle bundle;
  const auto leak = bundle.host_file("leak", "host secret");
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.image_dir("/dev");
  bundle.image_file("/masked", "hidden");
  bundle.bind(bundle.host_dir("hostdev"), "/dev", {"bind"});  // a /dev without nodes of ours
  REQUIRE_OK(sys::symlinkat(leak, AT_FDCWD, bundle.dir / "hostdev/null"));
  bundle.spec.linux.masked_paths = {"/masked", "/proc/keys"};
  const auto failure = bundle.run([]() -> Status {
    for (const auto* path : {"/masked", "/proc/keys"}) {
      EXPECT_EQUAL(text_of(path), "");
      const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
      EXPECT(S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3));
    }
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
  CHECK(text_of(leak) == "host secret");
}

TEST_CASE("CVE-2025-52565: /dev/console is bound descriptor to descriptor, never through a link") {
  Bundle bundle;
  bundle.usual_mounts();
  const auto outside = bundle.host_file("outside", "host");
  const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied& applied) -> Status {
    const auto pty = TRY(rootfs::open_terminal(applied.root));
    TRY(sys::symlinkat(outside, applied.dev.get(), "console"));
    const auto bound = rootfs::bind_console(applied, pty.slave);
    EXPECT(!bound.has_value());
    EXPECT(contains(bound.error().to_string(), "is a symbolic link"));
    EXPECT(mount_line(outside).empty());
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2025-52565: a terminal is opened only from a real devpts") {
  Bundle none;
  none.image_dir("/dev/pts");
  none.image_file("/dev/pts/ptmx", "not a terminal");
  auto failure = none.run([] { return ok(); }, [&](const rootfs::Applied& applied) -> Status {
    const auto pty = rootfs::open_terminal(applied.root);
    EXPECT(!pty.has_value());
    EXPECT(contains(pty.error().to_string(), "is not a devpts"));
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
  Bundle covered;
  covered.usual_mounts();
  covered.bind(covered.host_file("fake", "x"), "/dev/pts/ptmx", {"bind"});
  failure = covered.run([] { return ok(); }, [&](const rootfs::Applied& applied) -> Status {
    EXPECT(!rootfs::open_terminal(applied.root).has_value());
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2026-115521: a read-only root stays read-only when the image fakes /proc/self/fd") {
  Bundle bundle;
  bundle.spec.root->readonly = true;
  bundle.image_link("/proc/self/fd/3", "/decoy");
  bundle.image_link("/proc/self/fd/4", "/decoy");
  bundle.image_dir("/decoy");
  const auto failure = bundle.run([]() -> Status {
    EXPECT_EQUAL(outcome(put("/x", "x")), "EROFS");
    EXPECT_EQUAL(outcome(put("/decoy/x", "x")), "EROFS");
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("crun #1567: a FIFO as source, as destination or below tmpcopyup never blocks") {
  Bundle bundle;
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, bundle.dir / "fifo", 0600));
  bundle.image_dir("/copied");
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, bundle.in_rootfs("/copied/fifo"), 0600));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, bundle.in_rootfs("/target"), 0600));
  bundle.bind(bundle.dir / "fifo", "/fifo", {"bind"});
  bundle.bind(bundle.host_file("f", "text"), "/target", {"bind"});
  bundle.mount({.destination = "/copied", .type = "tmpfs", .source = "t", .options = {"tmpcopyup"}});
  bundle.spec.linux.masked_paths = {"/fifo"};
  bundle.spec.linux.readonly_paths = {"/copied/fifo"};
  const auto failure = bundle.run([]() -> Status {
    EXPECT_EQUAL(text_of("/target"), "text");
    EXPECT_EQUAL(text_of("/fifo"), "");  // /dev/null now
    return ok();
  });
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("CVE-2021-30465: a destination exchanged with a link to the host during apply never leads outside") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  const auto volume = bundle.host_dir("volume");
  bundle.host_dir("volume/target");
  REQUIRE_OK(sys::symlinkat("../../../../../../../../../.." + outside, AT_FDCWD, volume + "/link"));
  bundle.bind(volume, "/volume", {"bind"});
  bundle.bind(bundle.host_dir("payload"), "/volume/target/made", {"bind"});
  bundle.bind(bundle.host_file("f", "x"), "/volume/target/file", {"bind"});
  bundle.mount({.destination = "/volume/target", .type = "tmpfs", .source = "t"});
  const auto exchange = swapper(volume + "/target", volume + "/link");
  for (int i = 0; i < kRaces; ++i) {
    const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied&) -> Status {
      // Still in the host's tree: a mount that had left the rootfs would be seen there.
      EXPECT(mount_line(outside).empty());
      EXPECT(mount_line(outside + "/made").empty());
      return ok();
    });
    // Losing the race may be an error, with a text; a mount outside may not be.
    CHECK(!contains(failure, "expected"));
    CHECK(is_empty_dir(outside));
  }
}

TEST_CASE("CVE-2019-19921: /proc exchanged with a link during apply is refused or mounted, never followed") {
  Bundle bundle;
  bundle.image_dir("/proc");
  bundle.image_dir("/decoy");
  bundle.image_link("/link", "decoy");
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  bundle.spec.linux.masked_paths = {"/proc/keys"};
  const auto exchange = swapper(bundle.in_rootfs("/proc"), bundle.in_rootfs("/link"));
  for (int i = 0; i < kRaces; ++i) {
    const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied&) -> Status {
      EXPECT(mount_line(bundle.in_rootfs("/decoy")).empty());
      return ok();
    });
    CHECK(!contains(failure, "expected"));
  }
}

TEST_CASE("a masked path exchanged with a link during apply never covers something of the host") {
  Bundle bundle;
  const auto outside = bundle.host_dir("outside");
  bundle.host_file("outside/file", "host");
  bundle.image_dir("/secret");
  bundle.image_link("/link", "../../../../../../.." + outside);
  bundle.spec.linux.masked_paths = {"/secret"};
  bundle.spec.linux.readonly_paths = {"/secret"};
  const auto exchange = swapper(bundle.in_rootfs("/secret"), bundle.in_rootfs("/link"));
  for (int i = 0; i < kRaces; ++i) {
    const auto failure = bundle.run([] { return ok(); }, [&](const rootfs::Applied&) -> Status {
      EXPECT(mount_line(outside).empty());
      return ok();
    });
    CHECK(!contains(failure, "expected"));
  }
}

TEST_CASE("a thousand mounts and a thousand masked paths are set up, and a bad one names itself") {
  Bundle bundle;
  bundle.mount({.destination = "/proc", .type = "proc", .source = "proc"});
  const auto file = bundle.host_file("f", "x");
  for (int i = 0; i < 1000; ++i) bundle.bind(file, format_text("/many/{}", i), {"bind", "ro"});
  for (int i = 0; i < 1000; ++i) bundle.spec.linux.masked_paths.push_back(format_text("/many/{}", i));
  CHECK(bundle.refused() == "");
  bundle.bind("/nowhere", "/last", {"bind"});
  CHECK(contains(bundle.refused(), "\"/mounts/1001\": mount on \"/last\""));
}
