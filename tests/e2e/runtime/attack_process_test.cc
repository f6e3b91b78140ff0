// Programs in a container, and callers, that reach for what belongs to husk or to the host.
#include <sys/stat.h>

#include "attack.h"

using namespace husk;
using namespace husk::test;

namespace {

const std::vector<std::string> kStrong{"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_KILL"};

void give(oci::Spec& spec, const std::vector<std::string>& caps) {
  spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps};
}

std::string text_of(const std::string& path) { return path_exists(path) ? read_file(path).value() : ""; }

// exec until the attacker has met somebody, and `count` times at least.
void exec_many(Bench& bench, const std::string& seen, const std::string& husk, int count = 60) {
  const auto line = husk + " --root " + bench.root() + " exec " + bench.id() + " true";
  const auto loop = "end=$(($(date +%s) + 15)); i=0; while [ $(date +%s) -lt $end ]; do i=$((i + 1)); timeout 10 " + line +
                    " || exit 1; [ $i -lt " + std::to_string(count) + " ] || [ ! -s " + seen + " ] || exit 0; done; [ -s " + seen + " ] || exit 2";
  const auto done = bench.shell(loop);
  CHECK_MESSAGE(done.status.code == 0, done.err);
}

}  // namespace

TEST_CASE("CVE-2016-9962: who may trace everybody in a container sees nothing of the host in a process that exec brings in") {
  REQUIRE_E2E();
  for (const bool may_trace : {true, false}) {
    CAPTURE(may_trace);
    Bench bench;
    Prey prey{bench};
    const auto rootfs = own_rootfs(bench);
    const auto bundle = bench.bundle({"/bin/attacker", "peek", prey.path() + "/file", "attacker", "/seen", "/notes"}, [&](oci::Spec& spec) {
      with_rootfs(rootfs)(spec);
      give(spec, may_trace ? kStrong : std::vector<std::string>{"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"});
    });
    const auto before = prey.look();
    REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
    exec_many(bench, rootfs + "/seen", husk_binary());
    const auto notes = text_of(rootfs + "/notes");
    CHECK_MESSAGE(!contains(notes, "host"), notes);
    CHECK(prey.look() == before);
  }
}

// What a tracer found in those it met, all together.
std::uint64_t rights_in(const std::string& notes) {
  std::uint64_t rights = 0;
  for (const auto line : split(notes, '\n'))
    if (line.starts_with("rights ")) rights |= std::stoull(std::string{line.substr(7)}, nullptr, 16);
  return rights;
}

TEST_CASE("CVE-2016-9962: who may trace a process that exec brings in gets no right of husk that reaches the host") {
  REQUIRE_E2E();
  constexpr std::uint64_t kModule = 1U << 16U;   // linux/capability.h
  constexpr std::uint64_t kHandles = 1U << 2U;   // CAP_DAC_READ_SEARCH: open_by_handle_at
  constexpr std::uint64_t kAdmin = 1U << 21U;
  constexpr std::uint64_t kNode = 1U << 27U;
  Bench bench;
  const auto rootfs = own_rootfs(bench);
  const auto bundle = bench.bundle({"/bin/attacker", "peek", "/nothing", "attacker", "/seen", "/notes"}, [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    give(spec, {"CAP_SYS_PTRACE"});
    spec.process->no_new_privileges = true;
  });
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  exec_many(bench, rootfs + "/notes", husk_binary());
  const auto notes = text_of(rootfs + "/notes");
  CHECK(contains(notes, "rights"));
  CHECK_MESSAGE((rights_in(notes) & (kModule | kHandles | kAdmin | kNode)) == 0, notes);
}

TEST_CASE("a program that its tracer holds after its end costs exec no processor time") {
  REQUIRE_E2E();
  Bench bench;
  const auto rootfs = own_rootfs(bench);
  const auto bundle = bench.bundle({"/bin/attacker", "hold", "/seen"}, [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    give(spec, kStrong);
  });
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  auto exec = bench.start({"exec", bench.id(), "sleep", "1"}, {});
  REQUIRE(eventually([&] { return contains(text_of(rootfs + "/seen"), "held"); }));
  REQUIRE(eventually([&] { return contains(bench.shell("cat /proc/[0-9]*/stat 2>/dev/null | grep '(sleep) Z' || :").out, "(sleep) Z"); }));
  const auto ticks = [&] {
    const auto stat = read_file(format_text("/proc/{}/stat", exec.pid())).value();
    const auto fields = split(std::string_view{stat}.substr(stat.rfind(')') + 2), ' ');
    return parse_uint32(fields[11]).value() + parse_uint32(fields[12]).value();
  };
  const auto first = ticks();
  (void)exec.wait_for(1000);
  CHECK(ticks() - first < 20);
  REQUIRE(bench.husk({"kill", bench.id(), "KILL"}).status.code == 0);
  CHECK_OK(exec.wait());
}

TEST_CASE("CVE-2019-5736: no right inside makes the runtime's binary writable, not even over its mount") {
  REQUIRE_E2E();
  Bench bench;
  const auto rootfs = own_rootfs(bench);
  const auto bundle = bench.bundle({"/bin/attacker", "exe", "attacker", "/seen", "/notes"}, [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    give(spec, kStrong);
  });
  const auto copy = bench.path("husk-copy");  // a failure must not spoil the build
  REQUIRE(bench.shell("cp " + husk_binary() + " " + copy).status.code == 0);
  const auto content = [&copy] { return read_file(copy, std::size_t{1} << 28U).value(); };  // a sanitizer's husk has 90 MB
  const auto before = content();
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  exec_many(bench, rootfs + "/seen", copy);
  CHECK(content() == before);
  CHECK(!contains(text_of(rootfs + "/seen"), "made writable"));
}

TEST_CASE("CVE-2019-5736: a program exchanged with a link to /proc/self/exe never becomes a husk inside") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  const auto volume = bench.path("volume");
  REQUIRE(bench.shell("mkdir " + volume + "; cp /bin/busybox " + volume + "/busybox; ln -s /proc/self/exe " + volume + "/link").status.code == 0);
  const auto swapper = exchange(volume + "/busybox", volume + "/link");
  // What husk would say to these words, and busybox to its own.
  const auto bundle = bench.bundle({"/volume/busybox", "--version"}, [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back(bind_of(volume, "/volume"));
  });
  // On a read-only mount, as where a machine shows the tree, nobody could write to it: husk then runs.
  const auto copy = bench.path("husk-copy");
  REQUIRE(bench.shell("cp " + husk_binary() + " " + copy).status.code == 0);
  const auto before = prey.look();
  const auto rounds = attack(bench, 100, "  " + copy + " --root " + bench.root() + " run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
  CHECK_MESSAGE(!contains(rounds.out, "husk version"), rounds.out);
}

TEST_CASE("CVE-2025-52881, CVE-2025-62596: sysctls and scores are written through the host's procfs, whatever the image shows as one") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  REQUIRE_OK(make_directories(rootfs + "/proc/sys/net/ipv4"));
  REQUIRE_OK(make_directories(rootfs + "/proc/self"));
  for (const auto* name : {"/proc/sys/net/ipv4/ip_forward", "/proc/self/oom_score_adj", "/proc/sysrq-trigger"})
    REQUIRE_OK(sys::symlinkat(prey.path() + "/file", AT_FDCWD, rootfs + name));
  REQUIRE_OK(sys::symlinkat(prey.path(), AT_FDCWD, rootfs + "/link"));
  const auto swapper = exchange(rootfs + "/proc", rootfs + "/link");
  for (const bool with_proc : {true, false}) {
    CAPTURE(with_proc);
    const auto bundle = bench.shell_bundle("mkdir /tmp/p; mount -t proc proc /tmp/p && cat /tmp/p/sys/net/ipv4/ip_forward", [&](oci::Spec& spec) {
      with_rootfs(rootfs)(spec);
      if (!with_proc) std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/proc"; });
      spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}};
      spec.process->oom_score_adj = 500;
      give(spec, kStrong);
    });
    const auto before = prey.look();
    const auto rounds = attack(bench, 30, "  $H run -b " + bundle + " " + bench.id() + " || :");
    CHECK_HOST(prey, before, rounds);
    CHECK_MESSAGE(!contains(rounds.out, "0"), rounds.out);
  }
}

TEST_CASE("CVE-2026-88265: only streams of the caller change their owner, never what the image calls /dev/null") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  const auto bundle = bench.shell_bundle("ls -l /proc/self/fd >/dev/null; echo x", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination.starts_with("/dev"); });
    spec.mounts.push_back(bind_of(prey.path(), "/dev"));
    spec.process->user = {.uid = 1000, .gid = 1000};
  });
  const auto before = prey.look();
  const auto rounds = attack(bench, 5, "  $H run -b " + bundle + " " + bench.id() + " <&- || :\n  $H run -b " + bundle + " " + bench.id() +
                                           " <&- >&- 2>&- || :\n  $H run -b " + bundle + " " + bench.id() + " </dev/null >/dev/null 2>&1 || :\n" +
                                           "  $H run -b " + bundle + " " + bench.id() + " <" + prey.path() + "/null >/dev/null || :");
  CHECK_HOST(prey, before, rounds);
  CHECK(bench.shell("stat -c %u /dev/null").out == "0\n");
}

TEST_CASE("CVE-2024-21626: a cwd exchanged with a link to a descriptor or to the host's root is inside, or refused") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto volume = bench.path("volume");
  REQUIRE_OK(make_directories(volume + "/x"));
  for (const std::string target : {"/proc/self/fd/7", "/proc/1/cwd", "../../../../../../../.."}) {
    CAPTURE(target);
    REQUIRE_OK(sys::symlinkat(target, AT_FDCWD, volume + "/link"));
    {
      const auto swapper = exchange(volume + "/x", volume + "/link");
      const auto bundle = bench.shell_bundle("cat ./" + prey.path() + "/file ../../../../../../../" + prey.path() + "/file 2>/dev/null; touch made; :", [&](oci::Spec& spec) {
        spec.mounts.push_back(bind_of(volume, "/volume"));
        spec.process->cwd = "/volume/x";
      });
      const auto before = prey.look();
      const auto rounds = attack(bench, 20, "  $H run -b " + bundle + " " + bench.id() + " 7</ || :");
      CHECK_HOST(prey, before, rounds);
    }
    REQUIRE(bench.shell("rm -f " + volume + "/*; rm -rf " + volume + "/*; mkdir " + volume + "/x").status.code == 0);
  }
}

TEST_CASE("CVE-2026-30892, CVE-2026-46680: exec --user takes a whole number in range and runs as that, or does not run") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  for (const std::string user : {"1:", ":1", "4294967295", "4294967296", "18446744073709551616", "-1", "abc", "1 ", " 1", "+1", "0x1", "1:abc", "1:4294967295", "1:2:3", ""}) {
    CAPTURE(user);
    const auto done = bench.husk({"exec", "--user=" + user, bench.id(), "id", "-u"});
    CHECK(done.status.code != 0);
    CHECK(done.out.empty());
  }
  CHECK(bench.husk({"exec", "-u", "1", bench.id(), "id", "-u"}).out == "1\n");
  CHECK(bench.husk({"exec", "-u", "4294967294:4294967294", bench.id(), "id", "-u"}).out == "4294967294\n");
  const auto bundle = bench.bundle({"/bin/id"});
  for (const std::string number : {"4294967295", "4294967296", "-1", "1.5", "1e10"}) {
    CAPTURE(number);
    const auto changed = bench.shell("sed 's/\"process\": *{/&\"user\":{\"uid\":" + number + ",\"gid\":0},/' " + bundle + "/config.json > " + bundle + "/x; husk run -b " + bundle + " --config " + bundle + "/x " + bench.id());
    CHECK(changed.status.code != 0);
    CHECK(changed.out.empty());
  }
}

TEST_CASE("CVE-2021-43784: more than 64 KiB of environment, arguments and mappings arrive whole or are refused with a reason") {
  REQUIRE_E2E();
  Bench bench;
  const auto big = bench.shell_bundle("echo ${#BIG} $(env | wc -l) $#", [](oci::Spec& spec) {
    spec.process->env.push_back("BIG=" + std::string(100'000, 'x'));
    for (int i = 0; i < 3000; ++i) spec.process->env.push_back(format_text("V{}={}", i, std::string(40, 'y')));
    for (int i = 0; i < 3000; ++i) spec.process->args.push_back(std::string(40, 'z'));
  });
  const auto done = bench.husk({"run", "-b", big, bench.id()});
  CHECK_MESSAGE(contains(done.out, "100000 300"), (done.out + done.err));
  const auto mapped = bench.bundle({"/bin/true"}, [](oci::Spec& spec) {
    spec.linux.namespaces.push_back({.type = oci::NamespaceType::user});
    for (std::uint32_t i = 0; i < 5000; ++i) {
      spec.linux.uid_mappings.push_back({.container_id = i, .host_id = 100000 + i, .size = 1});
      spec.linux.gid_mappings.push_back({.container_id = i, .host_id = 100000 + i, .size = 1});
    }
  });
  const auto before = bench.world();
  const auto refused = bench.husk({"run", "-b", mapped, bench.id()});
  CHECK(refused.status.code == 1);
  CHECK_MESSAGE(contains(refused.err, "uidMappings"), refused.err);
  CHECK_WORLD(bench, before);
}

TEST_CASE("CVE-2022-24769, CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: neither run nor exec hands on inheritable capabilities") {
  REQUIRE_E2E();
  Bench bench;
  const auto show = "grep -E 'CapInh|CapAmb' /proc/self/status | cut -f2 | tr '\\n' ' '";
  const std::string none = "0000000000000000 0000000000000000 ";
  CHECK(bench.husk({"run", "-b", bench.shell_bundle(show), bench.id()}).out == none);
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  CHECK(bench.husk({"exec", bench.id(), "sh", "-c", show}).out == none);
  CHECK(bench.husk({"exec", "--cap", "CAP_KILL", "--cap", "CAP_CHOWN", bench.id(), "sh", "-c", show}).out == none);
  CHECK(bench.husk({"exec", "--cap", "CAP_KILL", "-u", "1000", bench.id(), "sh", "-c", show}).out == none);
}

TEST_CASE("CVE-2014-8989: a user namespace with one id made without rights over groups cannot drop groups") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("cat /proc/self/setgroups", [](oci::Spec& spec) {
    spec.linux.cgroups_path.clear();
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.type == "sysfs" || mount.type == "devpts"; });
  });
  // The plain user's namespace, where husk is root: what the kernel denied there stays denied in the container.
  const auto done = bench.shell("chmod 755 " + bench.path("") + "; setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm env HOME=/ " + husk_binary() +
                                " --root /tmp/husk-plain-" + bench.id() + " --cgroup-manager disabled run -b " + bundle + " " + bench.id() + "; rm -rf /tmp/husk-plain-" + bench.id());
  if (contains(done.err, "unshare failed")) HUSK_SKIP("plain users may not make user namespaces here");
  CHECK_MESSAGE(!contains(done.out, "allow"), done.out);
  CHECK_MESSAGE((contains(done.out, "deny") || done.status.code != 0), (done.out + done.err));
}

TEST_CASE("CVE-2023-25809: a user namespace without a cgroup namespace cannot write to the host's cgroups") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.shell_bundle("mkdir /sys/fs/cgroup/planted /sys/fs/cgroup/*/planted 2>/dev/null; "
                                           "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo 1 2>/dev/null > $f && echo written $f; done 2>/dev/null; :", [](oci::Spec& spec) {
      spec.linux.namespaces.push_back({.type = oci::NamespaceType::user});
      std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::cgroup; });
      spec.linux.uid_mappings = spec.linux.gid_mappings = {{.container_id = 0, .host_id = 0, .size = 65536}};
      spec.mounts.push_back({.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup", .options = {"rw"}});
    });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK_MESSAGE(done.out.empty(), done.out);
    CHECK(bench.shell("find /sys/fs/cgroup -name planted").out.empty());
  }
}
