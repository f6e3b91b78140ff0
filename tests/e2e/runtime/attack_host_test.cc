// What callers, hooks, devices and namespaces of the host could give away, and the list of things that crun 1.31
// turned round without a CVE.
#include <sys/socket.h>
#include <sys/stat.h>

#include "attack.h"

using namespace husk;
using namespace husk::test;

namespace {

void give(oci::Spec& spec, const std::vector<std::string>& caps) {
  spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps};
}

void join(oci::Spec& spec, oci::NamespaceType type, const std::string& path) {
  for (auto& item : spec.linux.namespaces)
    if (item.type == type) item.path = path;
}

}  // namespace

TEST_CASE("GHSA-g54h-m393-cpwq: a configuration without device rules opens no device of the host") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.shell_bundle("for d in 'c 1 1' 'c 1 2' 'c 10 237' 'b 254 0' 'b 8 0' 'b 7 0'; do mknod /tmp/d $d && dd if=/tmp/d of=/dev/null bs=1 count=1 2>/dev/null && echo read $d; rm /tmp/d; done; :", [](oci::Spec& spec) {
      spec.mounts.back().options = {};
      spec.linux.resources.devices.clear();
      give(spec, {"CAP_MKNOD", "CAP_SYS_RAWIO", "CAP_DAC_OVERRIDE"});
    });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK_MESSAGE(done.out.empty(), done.out);
  }
}

TEST_CASE("CVE-2026-84042: no program of the image is run on the host's side, whatever it is called") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  for (const auto* directory : {"/usr/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/libexec"}) REQUIRE_OK(make_directories(rootfs + directory));
  const auto trap = "#!/bin/sh\n/bin/busybox touch " + prey.path() + "/ran-as-host\nexit 0\n";
  for (const auto* name : {"newuidmap", "newgidmap", "criu", "husk-criu", "husk-image", "husk-pod", "husk", "pasta", "passt", "ip", "nft", "iptables", "mount", "unshare", "nsenter", "systemctl", "modprobe", "true"})
    for (const auto* directory : {"/bin/", "/usr/bin/", "/usr/sbin/", "/sbin/", "/usr/local/bin/", "/usr/libexec/"}) {
      (void)sys::unlinkat(AT_FDCWD, rootfs + directory + name);
      REQUIRE_OK(write_atomically(AT_FDCWD, rootfs + directory + name, trap, 0755));
    }
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.linux.namespaces.push_back({.type = oci::NamespaceType::user});
    spec.linux.uid_mappings = spec.linux.gid_mappings = {{.container_id = 0, .host_id = 0, .size = 65536}};
    spec.process->env = {"PATH=" + rootfs + "/bin:/bin"};
    spec.hooks.create_container = {{.path = "/bin/true"}};  // the host's
  });
  const auto before = prey.look();
  const auto path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}, {path}).status.code == 0);
  CHECK(bench.husk({"exec", bench.id(), "true"}, {path}).status.code == 0);
  (void)bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}, {path});
  CHECK(bench.husk({"delete", "-f", bench.id()}, {path}).status.code == 0);
  CHECK(prey.look() == before);
}

TEST_CASE("runc #5403, #5457: exec --cgroup stays below the container's own cgroup") {
  REQUIRE_E2E();
  Bench bench{Hierarchy::unified};
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto own = bench.shell("sed -n 's/^0:://p' /proc/" + std::to_string(bench.pid(bench.id())) + "/cgroup").out;
  const auto name = own.substr(own.rfind('/') + 1, own.size() - own.rfind('/') - 2);
  for (const auto& path : {std::string{".."}, std::string{"../"}, "../" + name + "2", std::string{"/../x"}, std::string{"a/../../x"}, "../" + name + "/../x", std::string{"....//"}}) {
    CAPTURE(path);
    const auto done = bench.husk({"exec", "--cgroup", path, bench.id(), "true"});
    CHECK(done.status.code != 0);
  }
}

TEST_CASE("crun 1.31 hardening: a container that waits for its start holds nothing open that leads to the host") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.mounts.push_back(bind_of(prey.path(), "/etc"));
    spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}};
    spec.linux.masked_paths = {"/proc/keys"};
    join(spec, oci::NamespaceType::network, "/proc/self/ns/net");
  });
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  const auto pid = std::to_string(bench.pid(bench.id()));
  // No directory but the container's own root, and no descriptor of a namespace or a mount.
  const auto open = bench.shell("for f in /proc/" + pid + "/fd/* /proc/" + pid + "/cwd /proc/" + pid + "/root; do n=$(readlink $f); [ ! -d $f/ ] || [ $n = / ] || echo $f $n; "
                                "[ ! -e $f/../../../../../../../../.." + prey.path() + " ] || echo $f reaches the host; case $n in *ns:*|*mount*) echo $f $n;; esac; done; :");
  CHECK_MESSAGE(open.out.empty(), open.out);
}

TEST_CASE("crun 1.31 hardening: an init that joins namespaces is not dumpable there") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  // Without CAP_SYS_PTRACE, as everybody is by default.
  const auto watcher = bench.bundle({"/bin/attacker", "peek", prey.path() + "/file", "attacker", "/seen", "/notes"}, with_rootfs(rootfs));
  REQUIRE(bench.husk({"run", "-d", "-b", watcher, bench.id("w")}).status.code == 0);
  const auto pid = std::to_string(bench.pid(bench.id("w")));
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    for (const auto& [type, name] : {std::pair{oci::NamespaceType::pid, "pid"}, {oci::NamespaceType::ipc, "ipc"}, {oci::NamespaceType::network, "net"}, {oci::NamespaceType::uts, "uts"}})
      join(spec, type, "/proc/" + pid + "/ns/" + name);
  });
  const auto before = prey.look();
  const auto rounds = attack(bench, 40, "  $H run -b " + bundle + " " + bench.id() + " || exit 1");
  CHECK_HOST(prey, before, rounds);
  const auto notes = path_exists(rootfs + "/notes") ? read_file(rootfs + "/notes").value() : "";
  CHECK_MESSAGE(!contains(notes, "host"), notes);
}

TEST_CASE("crun 1.31 hardening, NOTIFY_SOCKET and LISTEN_PID: what is meant for husk, or for another, does not get in") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto listening = sys::listen_unix(bench.path("notify"), SOCK_SEQPACKET, 4, 0600);
  REQUIRE_OK(listening);
  const auto bundle = bench.shell_bundle("env; cat <&3 2>/dev/null; grep -c notify /proc/self/mountinfo; ls -l /proc/self/fd | grep -c ' 3 -> '");
  const auto before = prey.look();
  const auto done = bench.shell("exec 3<" + prey.path() + "/file; export NOTIFY_SOCKET=" + bench.path("notify") + " LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=x; husk run -b " + bundle + " " + bench.id());
  CHECK_MESSAGE(!contains(done.out, "NOTIFY_SOCKET"), done.out);
  CHECK_MESSAGE(!contains(done.out, "LISTEN"), done.out);
  CHECK_MESSAGE(!contains(done.out, Prey::kSecret), done.out);
  CHECK(prey.look() == before);
}

TEST_CASE("hooks get the environment of the configuration alone, never that of husk's caller") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/sh", .args = {"sh", "-c", "/usr/bin/env > " + bench.path("env")}, .env = {"ONLY=this"}}};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()}, {"CALLERS_SECRET=x", "LD_LIBRARY_PATH=/nowhere"});
  CHECK(done.status.code == 0);
  const auto env = read_file(bench.path("env")).value();
  CHECK(contains(env, "ONLY=this"));
  CHECK(!contains(env, "CALLERS_SECRET"));
  CHECK(!contains(env, "LD_LIBRARY_PATH"));
}

TEST_CASE("crun 1.31 hardening: what is mounted below the host's /sys is read-only where the host's /sys must be shown") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("for m in $(cut -d' ' -f5 /proc/self/mountinfo | grep '^/sys'); do touch $m/planted 2>/dev/null && echo written $m; mkdir $m/planted 2>/dev/null && echo made $m; done; "
                                         "echo 1 2>/dev/null > /sys/kernel/mm/ksm/run && echo ksm; :", [](oci::Spec& spec) {
    spec.linux.namespaces.push_back({.type = oci::NamespaceType::user});
    // Without a network namespace of its own it may not mount a sysfs.
    std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::network; });
    spec.linux.uid_mappings = spec.linux.gid_mappings = {{.container_id = 0, .host_id = 0, .size = 65536}};
    for (auto& mount : spec.mounts)
      if (mount.type == "sysfs") mount.options = {"nosuid", "noexec", "nodev"};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  CHECK_MESSAGE(done.out.empty(), done.out);
}

TEST_CASE("crun 1.31 hardening: a tmpfs or a volume behind a link that is exchanged with the way out is mounted inside") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto rootfs = own_rootfs(bench);
  REQUIRE_OK(make_directories(rootfs + "/srv/dir"));
  REQUIRE_OK(sys::symlinkat(prey.path(), AT_FDCWD, rootfs + "/srv/out"));
  const auto swapper = exchange(rootfs + "/srv/dir", rootfs + "/srv/out");
  const auto bundle = bench.shell_bundle("touch /srv/dir/x /srv/out/x /srv/dir/v/x; cat /srv/dir/file /srv/out/file 2>/dev/null; :", [&](oci::Spec& spec) {
    with_rootfs(rootfs)(spec);
    spec.mounts.push_back({.destination = "/srv/dir", .type = "tmpfs", .source = "t", .options = {"tmpcopyup"}});
    spec.mounts.push_back(bind_of(bench.path("rootfs"), "/srv/dir/v"));
    spec.mounts.push_back({.destination = "/srv/out/deep", .type = "tmpfs", .source = "t"});
  });
  const auto before = prey.look();
  const auto rounds = attack(bench, 40, "  $H run -b " + bundle + " " + bench.id() + " || :");
  CHECK_HOST(prey, before, rounds);
}
