#include "bench.h"

using namespace husk;
using namespace husk::test;
using oci::NamespaceType;

namespace {

std::string namespace_of(int pid, const std::string& name) {
  const auto link = sys::readlinkat(AT_FDCWD, format_text("/proc/{}/ns/{}", pid, name));
  return link.has_value() ? link.value() : link.error().to_string();
}

void remove_namespace(oci::Spec& spec, NamespaceType type) {
  std::erase_if(spec.linux.namespaces, [&](const auto& item) { return item.type == type; });
}

void set_path(oci::Spec& spec, NamespaceType type, const std::string& path) {
  remove_namespace(spec, type);
  spec.linux.namespaces.push_back({.type = type, .path = path});
}

void map_ids(oci::Spec& spec, std::uint32_t first) {
  spec.linux.namespaces.push_back({.type = NamespaceType::user});
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = first, .size = 65536}};
  spec.linux.gid_mappings = spec.linux.uid_mappings;
}

std::string said(const Output& done) { return done.out + done.err; }

constexpr std::array kNames{"pid", "net", "ipc", "uts", "mnt", "cgroup"};

}  // namespace

TEST_CASE("config-linux.md#namespaces: every listed one is new, one that is not listed is the host's") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { remove_namespace(spec, NamespaceType::ipc); });
    const auto done = bench.husk({"run", "-d", "-b", bundle, bench.id()});
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    const auto pid = bench.pid(bench.id());
    for (const std::string name : kNames) {
      CAPTURE(name);
      CHECK((namespace_of(pid, name) == namespace_of(::getpid(), name)) == (name == "ipc"));
    }
  }
}

TEST_CASE("a new network namespace has its loopback device up, with a user namespace too") {
  REQUIRE_E2E();
  for (const bool mapped : {false, true}) {
    CAPTURE(mapped);
    Bench bench;
    const auto bundle = bench.shell_bundle("cat /sys/class/net/lo/flags; nc -l -p 8000 -e echo answer & "
                                           "for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 8000 && break; usleep 100000; done",
                                           [&](oci::Spec& spec) { if (mapped) map_ids(spec, 100000); });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK_MESSAGE(contains(done.out, "0x9\n"), done.out);  // IFF_UP | IFF_LOOPBACK
    CHECK_MESSAGE(contains(done.out, "answer\n"), done.out);
  }
}

TEST_CASE("config-linux.md#namespaces: path joins the namespaces of another container, as in a pod") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("a")}).status.code == 0);
    const auto first = bench.pid(bench.id("a"));
    const auto joined = [&](oci::Spec& spec) {
      for (const auto& [type, name] : {std::pair{NamespaceType::network, "net"}, {NamespaceType::ipc, "ipc"}, {NamespaceType::uts, "uts"}, {NamespaceType::pid, "pid"}})
        set_path(spec, type, format_text("/proc/{}/ns/{}", first, name));
    };
    const auto done = bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, joined), bench.id("b")});
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    const auto second = bench.pid(bench.id("b"));
    for (const std::string name : kNames) {
      CAPTURE(name);
      CHECK((namespace_of(second, name) == namespace_of(first, name)) == (name != "mnt" && name != "cgroup"));
    }
    CHECK(contains(bench.husk({"exec", bench.id("b"), "ps"}).out, "sleep 1000"));
  }
}

TEST_CASE("config-linux.md#namespaces: a path of another type, or no namespace, is an error") {
  REQUIRE_E2E();
  Bench bench;
  for (const auto& [path, text] : {std::pair{"/proc/self/ns/uts", "another type"}, {"/etc/passwd", "no namespace"}, {"/nowhere", "No such file"}}) {
    const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) { set_path(spec, NamespaceType::network, path); });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, text), done.err);
  }
}

TEST_CASE("a path to husk's own mount namespace is refused: its mounts and its root would be the host's") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    const auto bundle = bench.bundle({"/bin/true"}, [](oci::Spec& spec) { set_path(spec, NamespaceType::mount, "/proc/self/ns/mnt"); });
    for (const std::string verb : {"run", "create"}) {
      const auto done = bench.husk({verb, "-b", bundle, bench.id()});
      CHECK(done.status.code == 1);
      CHECK_MESSAGE(contains(done.err, "mount namespace of husk itself"), done.err);
    }
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a mount namespace that is joined by path keeps its mounts and the roots of its processes") {
  REQUIRE_E2E();
  Bench bench;
  // A process of somebody else's in a namespace of its own; `see` tells what it has.
  const auto rootfs = bench.path("rootfs");
  REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + rootfs).status.code == 0);
  const auto script = "unshare -m sleep 1000 & other=$!\nfor i in 1 2 3 4 5 6 7 8 9; do [ \"$(readlink /proc/$other/ns/mnt)\" != \"$(readlink /proc/self/ns/mnt)\" ] && break; sleep 0.1; done\n"
                      "see() { readlink /proc/$other/root; ls /proc/$other/root/; grep -v ' " + rootfs + "' /proc/$other/mountinfo; }\nbefore=$(see)\n"
                      "sed \"s,OTHER,/proc/$other/ns/mnt,\" " + bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
                        spec.root->path = rootfs;
                        set_path(spec, NamespaceType::mount, "/OTHER");
                      }) + "/config.json > " + bench.path("config.json") + "\nsed -i s,//proc,/proc, " + bench.path("config.json") +
                      "\nhusk run -d -f " + bench.path("config.json") + " -b " + bench.path("bundle0") + " " + bench.id() + " && echo runs\n"
                      "[ \"$before\" = \"$(see)\" ] && echo same\nhusk exec " + bench.id() + " ls /bin/busybox\n"
                      "[ $(readlink /proc/$other/ns/mnt) = $(husk exec " + bench.id() + " readlink /proc/self/ns/mnt) ] && echo joined\nkill $other\n";
  const auto done = bench.shell(script);
  CHECK_MESSAGE(done.out == "runs\nsame\n/bin/busybox\njoined\n", said(done));
}

TEST_CASE("config-linux.md#user-namespace-mappings: ids inside, other ids outside") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.shell_bundle("id -u; cat /proc/self/uid_map; touch /tmp/f && stat -c %u /tmp/f; sleep 1000",
                                           [](oci::Spec& spec) { map_ids(spec, 100000); });
    auto out = sys::pipe2();
    REQUIRE_OK(out);
    auto child = bench.start({"run", "-d", "-b", bundle, bench.id()}, {{.from = out.value().write_end.get(), .target = 1}});
    CHECK(child.wait().value().code == 0);
    std::string text;
    std::array<char, 256> block{};
    while (std::count(text.begin(), text.end(), '\n') < 3) {
      const auto got = sys::read_some(out.value().read_end.get(), block);
      REQUIRE_OK(got);
      REQUIRE(got.value() > 0);
      text.append(block.data(), got.value());
    }
    CHECK(text == "0\n         0     100000      65536\n0\n");
    const auto status = read_file(format_text("/proc/{}/status", bench.pid(bench.id()))).value();
    CHECK(contains(status, "Uid:\t100000\t"));
    const auto inside = bench.husk({"exec", "-u", "5", bench.id(), "id", "-u"});
    CHECK_MESSAGE(inside.out == "5\n", inside.err);
  }
}

TEST_CASE("a user namespace is joined, with a new pid namespace that belongs to it") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { map_ids(spec, 200000); }), bench.id("a")}).status.code == 0);
    const auto first = bench.pid(bench.id("a"));
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
      set_path(spec, NamespaceType::user, format_text("/proc/{}/ns/user", first));
      set_path(spec, NamespaceType::network, format_text("/proc/{}/ns/net", first));
    });
    const auto done = bench.husk({"run", "-d", "-b", bundle, bench.id("b")});
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    const auto second = bench.pid(bench.id("b"));
    CHECK(namespace_of(second, "user") == namespace_of(first, "user"));
    CHECK(namespace_of(second, "net") == namespace_of(first, "net"));
    CHECK(namespace_of(second, "pid") != namespace_of(first, "pid"));
    CHECK(bench.husk({"exec", bench.id("b"), "sh", "-c", "echo $$; id -u"}).status.code == 0);
    CHECK(bench.husk({"delete", "-f", bench.id("b")}).status.code == 0);
  }
}

TEST_CASE("a new user namespace beside a network namespace of the host's") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("a")}).status.code == 0);
  const auto first = bench.pid(bench.id("a"));
  const auto bundle = bench.shell_bundle("id -u", [&](oci::Spec& spec) {
    map_ids(spec, 300000);
    set_path(spec, NamespaceType::network, format_text("/proc/{}/ns/net", first));
    std::erase_if(spec.mounts, [](const auto& mount) { return mount.type == "sysfs"; });
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id("b")});
  CHECK_MESSAGE(done.out == "0\n", done.err);
}

TEST_CASE("config-linux.md#offset-for-time-namespace: the monotonic clock is moved; exec sees it too") {
  REQUIRE_E2E();
  Bench bench;
  const auto with_time = [](oci::Spec& spec) {
    spec.linux.namespaces.push_back({.type = NamespaceType::time});
    spec.linux.time_offset_boottime = oci::TimeOffset{.seconds = 1'000'000, .nanoseconds = 0};
  };
  const auto done = bench.husk({"run", "-b", bench.shell_bundle("cut -d. -f1 /proc/uptime", with_time), bench.id()});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(parse_uint32(trim(done.out)).value() > 1'000'000);
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, with_time), bench.id()}).status.code == 0);
  const auto inside = bench.husk({"exec", bench.id(), "cut", "-d.", "-f1", "/proc/uptime"});
  REQUIRE_MESSAGE(inside.status.code == 0, inside.err);
  CHECK(parse_uint32(trim(inside.out)).value() > 1'000'000);
}

TEST_CASE("config.md#hostname, #domainname, config-linux.md#sysctl: set inside, untouched outside") {
  REQUIRE_E2E();
  const auto hostname = read_file("/proc/sys/kernel/hostname").value();
  const auto forward = read_file("/proc/sys/net/ipv4/ip_forward").value();
  Bench bench;
  const auto bundle = bench.shell_bundle(
      "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced /proc/sys/kernel/msgmax",
      [](oci::Spec& spec) {
        spec.hostname = "box";
        spec.domainname = "example.org";
        spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}, {"kernel.msgmax", "9999"}};
      });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.out == "box\nexample.org\n1\n1\n9999\n", done.err);
  CHECK(read_file("/proc/sys/kernel/hostname").value() == hostname);
  CHECK(read_file("/proc/sys/net/ipv4/ip_forward").value() == forward);
  const auto unknown = bench.bundle({"/bin/true"}, [](oci::Spec& spec) { spec.linux.sysctl = {{"net.ipv4.nope", "1"}}; });
  const auto failed = bench.husk({"run", "-b", unknown, bench.id()});
  CHECK(failed.status.code == 1);
  CHECK_MESSAGE(contains(failed.err, "net.ipv4.nope"), failed.err);
}

TEST_CASE("config-linux.md#control-groups: limits are in force, with cgroupfs and without any cgroup") {
  REQUIRE_E2E();
  Bench bench;
  const bool v2 = path_exists("/sys/fs/cgroup/cgroup.controllers");
  const std::string pids = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
  const std::string memory = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
  if (!path_exists(memory + (v2 ? "/system.slice/memory.max" : "/tasks"))) HUSK_SKIP("no memory controller here");
  const auto limited = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) {
    spec.linux.resources.pids_limit = 17;
    spec.linux.resources.memory = oci::MemoryLimits{.limit = 64 << 20};
  });
  REQUIRE(bench.husk({"run", "-d", "-b", limited, bench.id()}).status.code == 0);
  const auto path = *bench.state(bench.id()).find("cgroupPath")->as_string();
  CHECK(read_file(pids + path + "/pids.max").value() == "17\n");
  CHECK(read_file(memory + path + (v2 ? "/memory.max" : "/memory.limit_in_bytes")).value() == "67108864\n");
  CHECK(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
  CHECK(!path_exists(pids + path));
  const auto without = bench.husk({"--cgroup-manager", "disabled", "run", "-b", bench.bundle({"/bin/true"}), bench.id()});
  CHECK_MESSAGE(without.status.code == 0, without.err);
}

TEST_CASE("a memory limit that is too small to start says so, and leaves nothing") {
  REQUIRE_E2E();
  Bench bench;
  if (!path_exists("/sys/fs/cgroup/memory") && !path_exists("/sys/fs/cgroup/system.slice/memory.max"))
    HUSK_SKIP("no memory controller here");
  const auto before = bench.world();
  const auto tiny = bench.bundle({"/bin/true"}, [](oci::Spec& spec) { spec.linux.resources.memory = oci::MemoryLimits{.limit = 8192}; });
  const auto done = bench.husk({"run", "-b", tiny, bench.id()});
  if (done.status.code == 0) HUSK_SKIP("this kernel starts a program in 8 KiB");
  CHECK_MESSAGE(contains(done.err, "memory"), done.err);
  CHECK_WORLD(bench, before);
}
