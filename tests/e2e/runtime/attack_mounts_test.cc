// Images and volumes that lie about paths, and change while husk works: each test is one hole of another runtime.
#include <sys/stat.h>

#include "attack.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr int kRounds = 40;

const std::string& run_of(std::string& line, const std::string& bundle, const std::string& id) {
  return line = "  $H run -b " + bundle + " " + id + " || :";
}

// Runs a bundle again and again; the rounds must leave the host alone.
void check_rounds(Bench& bench, Prey& prey, const std::string& bundle, const std::string& reset = "") {
  const auto before = prey.look();
  std::string line;
  const auto rounds = attack(bench, kRounds, run_of(line, bundle, bench.id()) + "\n" + reset);
  CHECK_HOST(prey, before, rounds);
  CHECK(rounds.count >= 5);
  CHECK(bench.husk({"list", "-q"}).out.empty());
}

void link(const std::string& target, const std::string& path) { REQUIRE_OK(sys::symlinkat(target, AT_FDCWD, path)); }

}  // namespace

TEST_CASE("CVE-2019-18837: an absolute link, or one of many dots, as the destination of a mount") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  link(prey.path(), rootfs + "/data");
  link("../../../../../../../../../.." + prey.path() + "/dir", rootfs + "/dots");
  const auto volume = bench.path("volume");
  REQUIRE_OK(make_directories(volume));
  const auto bundle = bench.shell_bundle("cat /data/file /dots/../file; touch /data/made/x /dots/y", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back(bind_of(volume, "/data/made"));
    spec.mounts.push_back(bind_of(volume, "/dots/deep/er"));
    spec.mounts.push_back({.destination = "/dots", .type = "tmpfs", .source = "t"});
  });
  check_rounds(bench, prey, bundle);
}

TEST_CASE("CVE-2021-30465: a container that shares a volume exchanges a destination with a link") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto volume = bench.path("volume");
  REQUIRE_OK(make_directories(volume + "/x"));
  link(prey.path(), volume + "/link");
  // The neighbour is a container too.
  const auto neighbour = bench.bundle({"/bin/attacker", "swap", "/volume/x", "/volume/link"}, [&](oci::Spec& spec) {
    with_rootfs(own_rootfs(bench, "neighbour"))(spec);
    spec.mounts.push_back(bind_of(volume, "/volume"));
  });
  REQUIRE(bench.husk({"run", "-d", "-b", neighbour, bench.id("n")}).status.code == 0);
  const auto bundle = bench.shell_bundle("cat /volume/x/file /volume/link/file 2>/dev/null; touch /volume/x/left /volume/link/left", [&](oci::Spec& spec) {
    with_rootfs(own_rootfs(bench))(spec);
    spec.mounts.push_back(bind_of(volume, "/volume"));
    spec.mounts.push_back({.destination = "/volume/x", .type = "tmpfs", .source = "t"});
    spec.mounts.push_back(bind_of(bench.path("rootfs"), "/volume/x/made"));
  });
  const auto before = prey.look();
  const auto rounds = attack(bench, kRounds, "  $H run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
}

TEST_CASE("CVE-2024-45310: missing mount points below a name that is exchanged with a link make nothing on the host") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto volume = bench.path("volume");
  REQUIRE_OK(make_directories(volume + "/x"));
  link(prey.path(), volume + "/link");
  const auto swapper = exchange(volume + "/x", volume + "/link");
  const auto bundle = bench.shell_bundle(":", [&](oci::Spec& spec) {
    with_rootfs(own_rootfs(bench))(spec);
    spec.mounts.push_back(bind_of(volume, "/volume"));
    spec.mounts.push_back(bind_of(bench.path("rootfs"), "/volume/x/deep/er/still"));
    spec.mounts.push_back(bind_of("/etc/hostname", "/volume/x/a/file"));
  });
  check_rounds(bench, prey, bundle, "  find " + volume + " -mindepth 2 -depth -delete");
}

TEST_CASE("CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: /proc and /sys that are links, or become one") {
  REQUIRE_E2E();
  for (const std::string name : {"proc", "sys"}) {
    CAPTURE(name);
    Bench bench;
    Prey prey{bench};
    const auto rootfs = own_rootfs(bench);
    REQUIRE_OK(make_directories(rootfs + "/decoy/sys/kernel"));
    link("decoy", rootfs + "/link");
    // The names go on changing places while it runs: by each of them the masked file is empty, or is not there.
    const auto test = "for n in /proc /link; do cat $n/keys; done 2>/dev/null; echo x 2>/dev/null > /proc/sys/kernel/domainname; :";
    const auto bundle = bench.shell_bundle(test, [&](oci::Spec& spec) {
      with_rootfs(rootfs)(spec);
      spec.linux.masked_paths = {"/proc/keys"};
      spec.linux.readonly_paths = {"/proc/sys"};
    });
    {
      const auto swapper = exchange(rootfs + "/" + name, rootfs + "/link");
      const auto before = prey.look();
      const auto rounds = attack(bench, kRounds, "  $H run -b " + bundle + " " + bench.id() + " || :");
      CHECK_HOST(prey, before, rounds);
      // Refused, or a container with all of its masks: nothing between.
      CHECK_MESSAGE(rounds.out.empty(), rounds.out);
    }
    REQUIRE(bench.shell("rm -rf " + rootfs + "/" + name + "; ln -s decoy " + rootfs + "/" + name).status.code == 0);
    for (const std::string verb : {"run", "create"}) {
      const auto refused = bench.husk({verb, "-b", bundle, bench.id()});
      CHECK(refused.status.code == 1);
      CHECK_MESSAGE(contains(refused.err, "must be an ordinary directory"), refused.err);
    }
  }
}

TEST_CASE("CVE-2019-16884: a volume on /proc, by name, by link or by a name that is exchanged, is refused") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  const auto fake = bench.path("fake");
  REQUIRE_OK(make_directories(fake + "/self/attr"));
  REQUIRE_OK(make_directories(rootfs + "/way"));
  link("/proc", rootfs + "/wayward");
  for (const std::string destination : {"/proc", "/proc/self/attr", "/wayward/self", "/way/../proc/sys"}) {
    CAPTURE(destination);
    const auto done = bench.husk({"run", "-b", bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
                                    with_rootfs(rootfs)(spec);
                                    spec.mounts.push_back(bind_of(fake, destination));
                                  }), bench.id()});
    CHECK(done.status.code == 1);
  }
  const auto swapper = exchange(rootfs + "/way", rootfs + "/wayward");
  const auto bundle = bench.shell_bundle("[ -e /proc/self/attr/planted ] && echo planted; [ $(stat -f -c %t /proc/self/attr) = 9fa0 ] || echo covered; :", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back(bind_of(fake, "/way"));
  });
  REQUIRE_OK(write_atomically(AT_FDCWD, fake + "/self/attr/planted", "x"));
  const auto before = prey.look();
  const auto rounds = attack(bench, kRounds, "  $H run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
  CHECK_MESSAGE(rounds.out.empty(), rounds.out);
}

TEST_CASE("CVE-2025-31133, CVE-2025-62161: /dev/null of the container, exchanged with a link, masks nothing and is not followed") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  const auto dev = bench.path("dev");
  REQUIRE_OK(make_directories(dev));
  REQUIRE_OK(sys::mknodat(AT_FDCWD, dev + "/null", S_IFCHR | 0666, 0x103));
  link(prey.path() + "/file", dev + "/link");
  REQUIRE_OK(write_atomically(AT_FDCWD, rootfs + "/etc/masked", "hidden"));
  const auto swapper = exchange(dev + "/null", dev + "/link");
  const auto bundle = bench.shell_bundle("for f in /etc/masked /proc/keys; do [ \"$(stat -c %F,%t,%T $f)\" = 'character special file,1,3' ] || echo open $f; done", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back(bind_of(dev, "/dev"));
    spec.linux.masked_paths = {"/etc/masked", "/proc/keys"};
  });
  const auto before = prey.look();
  const auto rounds = attack(bench, kRounds, "  $H run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
  CHECK_MESSAGE(rounds.out.empty(), rounds.out);
}

TEST_CASE("CVE-2025-52565, CVE-2026-88264: /dev/console that is a link, or becomes one, leads nowhere") {
  REQUIRE_E2E();
  for (const bool bound : {true, false}) {
    CAPTURE(bound);
    Bench bench;
    Prey prey{bench};
    const auto rootfs = own_rootfs(bench);
    const auto dev = bound ? bench.path("dev") : rootfs + "/dev";
    REQUIRE_OK(make_directories(dev + "/pts"));
    link(prey.path() + "/file", dev + "/console");
    link(prey.path() + "/made", dev + "/other");
    const auto swapper = exchange(dev + "/console", dev + "/other");
    for (const bool terminal : {true, false}) {
      const auto bundle = bench.shell_bundle("echo text > /dev/console; :", [&](oci::Spec& spec) {
        with_rootfs(rootfs)(spec);
        std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/dev"; });
        if (bound) spec.mounts.insert(spec.mounts.begin(), bind_of(dev, "/dev"));
        spec.process->terminal = terminal;
      });
      check_rounds(bench, prey, bundle);
    }
  }
}

TEST_CASE("CVE-2026-41579, CVE-2026-47766: a /dev that is a link, or becomes one, gets no nodes and no links") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  link(prey.path() + "/dir", rootfs + "/devlink");
  link("/etc", rootfs + "/inner");
  const auto bundle = bench.shell_bundle("ls /etc | grep -x -e ptmx -e fd -e null; :", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination.starts_with("/dev"); });
  });
  {
    const auto swapper = exchange(rootfs + "/dev", rootfs + "/devlink");
    check_rounds(bench, prey, bundle);
  }
  REQUIRE(bench.shell("rm -rf " + rootfs + "/dev " + rootfs + "/devlink; mkdir " + rootfs + "/dev").status.code == 0);
  const auto swapper = exchange(rootfs + "/dev", rootfs + "/inner");
  const auto before = prey.look();
  const auto rounds = attack(bench, kRounds, "  $H run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
  CHECK_MESSAGE(rounds.out.empty(), rounds.out);
}

TEST_CASE("CVE-2025-24965: what husk makes in an image full of links (cwd, nodes, mount points) stays in the image") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  for (const std::string name : {"work", "mount", "config"}) link(prey.path() + "/dir", rootfs + "/" + name);
  link(prey.path() + "/node", rootfs + "/dev/fuse");
  link(prey.path() + "/dir", rootfs + "/dev/net");
  link(prey.path() + "/new-file", rootfs + "/etc/resolv.conf");
  const auto bundle = bench.shell_bundle("pwd", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination.starts_with("/dev"); });
    spec.mounts.push_back({.destination = "/mount/tmp", .type = "tmpfs", .source = "t", .options = {"tmpcopyup"}});
    spec.mounts.push_back(bind_of("/etc/hostname", "/etc/resolv.conf"));
    spec.linux.devices = {{.type = 'c', .path = "/dev/net/tun", .major = 10, .minor = 200}};
    spec.process->cwd = "/work/made/by/husk";
  });
  check_rounds(bench, prey, bundle);
}

TEST_CASE("CVE-2026-115521: a read-only root stays read-only whatever the image has at /proc/self/fd") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  REQUIRE_OK(make_directories(rootfs + "/proc/self/fd"));
  REQUIRE_OK(make_directories(rootfs + "/decoy"));
  for (int fd = 3; fd < 30; ++fd) link("/decoy", format_text("{}/proc/self/fd/{}", rootfs, fd));
  for (const bool with_proc : {true, false}) {
    const auto bundle = bench.shell_bundle("for d in / /decoy /bin /proc; do touch $d/written 2>/dev/null && echo written $d; done; :", [&](oci::Spec& spec) {
      spec.root = oci::Root{.path = rootfs, .readonly = true};
      if (!with_proc) std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/proc"; });
    });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.out.empty(), done.out);
    CHECK(done.status.code == 0);
  }
}

TEST_CASE("crun #1567: a FIFO, a device or a thousand mounts as source and target never hang and never act") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, bench.path("fifo"), 0600));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, rootfs + "/etc/fifo", 0600));
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, rootfs + "/etc/passwd2", 0600));
  REQUIRE(bench.shell("rm " + rootfs + "/etc/passwd; mkfifo " + rootfs + "/etc/passwd " + rootfs + "/dev/console " + rootfs + "/bin/pipe; mknod " + rootfs + "/etc/watchdog c 10 130").status.code == 0);
  const auto bundle = bench.shell_bundle("echo ran", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back(bind_of(bench.path("fifo"), "/etc/fifo"));
    spec.mounts.push_back(bind_of(bench.path("fifo"), "/etc/watchdog"));
    for (int i = 0; i < 300; ++i) spec.mounts.push_back(bind_of(bench.path("fifo"), format_text("/many/{}", i)));
    spec.linux.masked_paths = {"/etc/fifo", "/etc/passwd2", "/etc/watchdog"};
    spec.linux.readonly_paths = {"/etc/passwd"};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.out == "ran\n", done.err);
  const auto pipe = bench.husk({"run", "-b", bench.bundle({"/bin/pipe"}, with_rootfs(rootfs)), bench.id()});
  CHECK(pipe.status.code == 1);
}
