// The systemd driver against a systemd that is PID 1: in tests/vm.
#include <signal.h>

#include <set>

#include "systemd_bench.h"

using namespace husk;
using namespace husk::test;

namespace {

void take_limits(oci::Spec& spec) {
  auto& resources = spec.linux.resources;
  resources.memory = oci::MemoryLimits{.limit = 64 << 20, .reservation = 16 << 20, .swap = 64 << 20};
  resources.cpu = oci::CpuLimits{.shares = 512, .quota = 12345, .period = 50000};
  resources.pids_limit = 20;
  resources.unified = {{"memory.high", "50331648"}, {"memory.oom.group", "1"}};
}

}  // namespace

TEST_CASE("systemd: a container is a delegated scope in its nested slice, with limits in unit and kernel") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  const auto parent = bench.slice.substr(0, bench.slice.size() - 6);
  const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
    spec.linux.cgroups_path = parent + "-inner.slice:husk:" + bench.id();
    spec.annotations = {{"org.systemd.property.TimeoutStopSec", "uint64 7"}, {"org.systemd.property.KillSignal", "15"}};
    take_limits(spec);
  });
  bench.run(bundle);
  const auto state = bench.state(bench.id());
  CHECK(*state.find("systemd-scope")->as_string() == bench.unit());
  const auto path = *state.find("cgroupPath")->as_string();
  CHECK(path == "/" + bench.slice + "/" + parent + "-inner.slice/" + bench.unit());
  CHECK(read_file(format_text("/proc/{}/cgroup", bench.pid(bench.id()))).value() == "0::" + path + "\n");
  CHECK(bench.property("ControlGroup") == path);
  CHECK(bench.property("Delegate") == "yes");
  CHECK(bench.property("MemoryMax") == "67108864");
  CHECK(bench.property("MemoryHigh") == "50331648");
  CHECK(bench.property("MemorySwapMax") == "0");
  CHECK(bench.property("CPUWeight") == "59");
  CHECK(bench.property("CPUQuotaPerSecUSec") == "250ms");
  CHECK(bench.property("TasksMax") == "20");
  CHECK(bench.property("OOMPolicy") == "kill");
  CHECK(bench.property("TimeoutStopUSec") == "7s");
  const auto value = [&](const std::string& name) { return std::string{trim(read_file("/sys/fs/cgroup" + path + "/" + name).value())}; };
  CHECK(value("memory.max") == "67108864");
  CHECK(value("cpu.max") == "12500 50000");  // rounded as the unit is: a reload writes that again
  CHECK(value("pids.max") == "20");
  CHECK(value("memory.oom.group") == "1");
  REQUIRE(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
  CHECK_FALSE(path_exists("/sys/fs/cgroup" + path));
  CHECK_FALSE(bench.is_unit_there());
}

TEST_CASE("systemd: the default place is husk-ID.scope in system.slice") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { spec.linux.cgroups_path.clear(); }));
  CHECK(*bench.state(bench.id()).find("cgroupPath")->as_string() == "/system.slice/husk-" + bench.id() + ".scope");
  CHECK(bench.systemd({"exec", bench.id(), "/bin/cat", "/proc/self/cgroup"}).out == "0::/\n");
}

TEST_CASE("systemd: update reaches unit and kernel, survives a reload, and a refused one changes neither") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}, take_limits));
  const auto done = bench.systemd({"update", "--memory", "134217728", "--memory-swap", "134217728", "--pids-limit", "33", bench.id()});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  const auto check_all = [&] {
    CHECK(bench.property("MemoryMax") == "134217728");
    CHECK(bench.file("memory.max") == "134217728");
    CHECK(bench.file("memory.high") == "50331648");
    CHECK(bench.file("pids.max") == "33");
    CHECK(bench.property("TasksMax") == "33");
    CHECK(bench.file("cpu.max") == "12500 50000");
    CHECK(bench.file("cpu.weight") == "59");
  };
  check_all();
  REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0);
  check_all();
  // The kernel takes the first value and refuses the second.
  const auto file = bench.path("resources.json");
  REQUIRE_OK(write_atomically(AT_FDCWD, file, R"({"pids":{"limit":44},"unified":{"memory.high":"wrong"}})"));
  CHECK(bench.systemd({"update", "-r", file, bench.id()}).status.code != 0);
  check_all();
  // systemd refuses what the kernel has taken already.
  REQUIRE_OK(write_atomically(AT_FDCWD, file, R"({"pids":{"limit":44},"unified":{"memory.min":"0"}})"));
  // The first process of a pid namespace does not hear TERM; systemd would wait 90 s for it.
  REQUIRE(bench.shell("systemctl kill --signal=KILL " + bench.unit() + " && { systemctl stop " + bench.unit() + " 2>/dev/null; :; }").status.code == 0);
  CHECK(bench.systemd({"update", "-r", file, bench.id()}).status.code != 0);
}

TEST_CASE("systemd: a device stays usable, and another forbidden, through systemctl daemon-reload in a loop") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  // /dev/zero by the defaults; 1:11 (kmsg) by a rule that systemd cannot say, a minor for all; 1:1 (mem) by no rule.
  const auto script = "mknod /tmp/kmsg c 1 11; mknod /tmp/mem c 1 1; fails=0; rounds=0; "
                      "while [ ! -e /tmp/stop ]; do head -c 1 /dev/zero >/dev/null 2>&1 || fails=$((fails+1)); "
                      "head -c 0 /tmp/kmsg 2>/dev/null || fails=$((fails+1)); "
                      "head -c 0 /tmp/mem 2>/dev/null && fails=$((fails+1)); rounds=$((rounds+1)); "
                      "echo $rounds $fails >/tmp/new; mv /tmp/new /tmp/count; done";
  bench.run(bench.scope_bundle({"/bin/sh", "-c", script}, [](oci::Spec& spec) {
    may_make_devices(spec);
    spec.linux.resources.devices = {{.allow = false, .type = 'a', .access = "rwm"},
                                    {.allow = true, .type = 'c', .minor = 11, .access = "rw"}};
  }));
  const auto count = [&] { return bench.systemd({"exec", bench.id(), "/bin/cat", "/tmp/count"}).out; };
  REQUIRE(eventually([&] { return !count().empty(); }));
  for (int reload = 0; reload < 10; ++reload) REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0);
  const auto text = count();
  CAPTURE(text);
  CHECK(text.ends_with(" 0\n"));
  CHECK_FALSE(text.starts_with("0 "));
}

TEST_CASE("systemd: update puts another device list in force, in unit and kernel, or changes nothing") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}, may_make_devices));
  REQUIRE(bench.systemd({"exec", bench.id(), "/bin/sh", "-c", "mknod /tmp/kmsg c 1 11; mknod /tmp/mem c 1 1"}).status.code == 0);
  const auto file = bench.path("resources.json");
  const auto update = [&](const std::string& allowed, const std::string& more = "") {
    const auto devices = R"({"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":)" + allowed + R"(,"access":"rw"}])";
    REQUIRE_OK(write_atomically(AT_FDCWD, file, devices + more + "}"));
    return bench.systemd({"update", "-r", file, bench.id()});
  };
  const auto opens = [&](const std::string& name) { return bench.systemd({"exec", bench.id(), "/bin/head", "-c", "0", "/tmp/" + name}).status.code == 0; };
  const auto check = [&](bool kmsg, bool mem) {
    for (const bool reload : {false, true}) {
      CAPTURE(reload);
      if (reload) REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0);
      const auto list = bench.property("DeviceAllow");
      CAPTURE(list);
      CHECK(contains(list, "/dev/char/1:11 ") == kmsg);
      CHECK(contains(list, "/dev/char/1:1 ") == mem);
      CHECK(contains(list, "/dev/char/1:3 rw"));
      CHECK(opens("kmsg") == kmsg);
      CHECK(opens("mem") == mem);
    }
  };
  check(false, false);
  const auto first = update("11");
  REQUIRE_MESSAGE(first.status.code == 0, first.err);
  check(true, false);
  CHECK(update("1", R"(,"unified":{"memory.high":"wrong"})").status.code != 0);  // the kernel says no
  check(true, false);
  const auto refused = update("1", R"(,"unified":{"memory.high":"0"})");  // and systemd, to what the kernel has taken
  CHECK(refused.status.code != 0);
  CHECK_MESSAGE(contains(refused.err, "MemoryHigh"), refused.err);
  CHECK(bench.file("memory.high") == "max");
  check(true, false);
  const auto second = update("1");
  REQUIRE_MESSAGE(second.status.code == 0, second.err);
  check(false, true);
}

TEST_CASE("systemd: another's unit of the same name outlives what create and delete do") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
  bench.run(bundle);
  const auto other = [&](std::vector<std::string> arguments, const std::string& environment = "") {
    return bench.shell(environment + " " + husk_binary() + " --systemd-cgroup --root " + bench.path("other") + " " + join(arguments, " "));
  };
  for (const std::string step : {"reserve", "cgroup", "clone"}) {
    CAPTURE(step);
    CHECK(other({"create", "-b", bundle, "x"}, "HUSK_KILL_AT=" + step).status.code != 0);
    CHECK(other({"delete", "--force", "x"}).status.code == 0);
    CHECK(bench.status(bench.id()) == "running");
  }
  CHECK(other({"create", "-b", bundle, "x"}).status.code != 0);  // the unit exists
  CHECK(bench.status(bench.id()) == "running");
  // Its scope has ended, and the name belongs to a new one.
  REQUIRE(bench.systemd({"kill", bench.id(), "KILL"}).status.code == 0);
  REQUIRE(eventually([&] { return !bench.is_unit_there(); }));
  const auto second = other({"run", "-d", "-b", bundle, "x"});
  REQUIRE_MESSAGE(second.status.code == 0, second.err);
  CHECK(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
  CHECK(contains(other({"state", "x"}).out, "\"running\""));
  CHECK(other({"delete", "--force", "x"}).status.code == 0);
  CHECK_FALSE(path_exists(bench.directory()));
}

TEST_CASE("systemd: systemctl stop of the scope ends the container, and husk sees it") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.shell_bundle("trap 'exit 0' TERM; while :; do sleep 1; done", [&](oci::Spec& spec) {
    spec.linux.cgroups_path = bench.slice + ":husk:" + bench.id();
  }));
  CHECK(bench.status(bench.id()) == "running");
  REQUIRE(bench.shell("systemctl stop " + bench.unit()).status.code == 0);
  CHECK(bench.status(bench.id()) == "stopped");
  const auto deleted = bench.systemd({"delete", bench.id()});
  CHECK_MESSAGE(deleted.status.code == 0, deleted.err);
}

TEST_CASE("systemd: pause, resume, kill --all and ps work in a scope") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}));
  REQUIRE(bench.systemd({"pause", bench.id()}).status.code == 0);
  CHECK(bench.status(bench.id()) == "paused");
  REQUIRE(bench.systemd({"resume", bench.id()}).status.code == 0);
  CHECK(contains(bench.systemd({"ps", bench.id()}).out, "sleep"));
  REQUIRE(bench.systemd({"kill", "--all", bench.id(), "KILL"}).status.code == 0);
  CHECK(eventually([&] { return bench.status(bench.id()) == "stopped"; }));
  // A scope without processes ends by itself.
  CHECK(eventually([&] { return !bench.is_unit_there(); }));
}

TEST_CASE("systemd: a unit of that name that lives is an error, a failed one is reset") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
  REQUIRE(bench.shell("systemd-run --scope --slice " + bench.slice + " --unit " + bench.unit() + " sleep 1000 >/dev/null 2>&1 &").status.code == 0);
  REQUIRE(eventually([&] { return bench.property("ActiveState") == "active"; }));
  const auto refused = bench.systemd({"run", "-d", "-b", bundle, bench.id()});
  CHECK(refused.status.code != 0);
  CHECK(contains(refused.err, bench.unit()));
  CHECK(contains(refused.err, "system bus"));
  CHECK(contains(refused.err, "systemctl stop"));
  CHECK(bench.property("ActiveState") == "active");
  CHECK(bench.systemd({"state", bench.id()}).status.code != 0);
  // The first process of a pid namespace does not hear TERM; systemd would wait 90 s for it.
  REQUIRE(bench.shell("systemctl kill --signal=KILL " + bench.unit() + " && { systemctl stop " + bench.unit() + " 2>/dev/null; :; }").status.code == 0);
  // A service that failed keeps its unit; a scope that failed, too, without CollectMode.
  REQUIRE(bench.shell("systemd-run --scope -q -p RuntimeMaxSec=1 --unit " + bench.unit() + " sleep 1000; true").status.code == 0);
  REQUIRE(eventually([&] { return bench.property("ActiveState") == "failed"; }));
  bench.run(bundle);
  CHECK(bench.property("ActiveState") == "active");
}

TEST_CASE("systemd: errors name unit, property and remedy, and leave nothing") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  const auto attempt = [&](const Change& change) {
    const auto done = bench.systemd({"run", "-d", "-b", bench.scope_bundle({"/bin/true"}, change), bench.id()});
    CHECK(done.status.code != 0);
    CHECK(bench.systemd({"state", bench.id()}).status.code != 0);
    CHECK_FALSE(path_exists(bench.directory()));
    CHECK_FALSE(bench.is_unit_there());
    return done.err;
  };
  const auto unknown = attempt([](oci::Spec& spec) { spec.annotations = {{"org.systemd.property.NoSuchThing", "true"}}; });
  CHECK_MESSAGE(contains(unknown, "NoSuchThing"), unknown);
  CHECK_MESSAGE(contains(unknown, bench.unit()), unknown);
  CHECK_MESSAGE(contains(unknown, "org.systemd.property"), unknown);
  const auto type = attempt([](oci::Spec& spec) { spec.annotations = {{"org.systemd.property.MemoryMax", "'much'"}}; });
  CHECK_MESSAGE(contains(type, bench.unit()), type);
  const auto path = attempt([](oci::Spec& spec) { spec.linux.cgroups_path = "/pods/web"; });
  CHECK_MESSAGE(contains(path, "system.slice:husk:web-1"), path);
  const auto kernel = attempt([](oci::Spec& spec) { spec.linux.resources.unified = {{"memory.high", "wrong"}}; });
  CHECK_MESSAGE(contains(kernel, "memory.high"), kernel);
}

TEST_CASE("systemd: a create that is killed at any step leaves what delete --force and gc clean up") {
  REQUIRE_SYSTEMD();
  for (const std::string step : {"reserve", "cgroup", "clone", "scope", "id-maps", "commit"}) {
    CAPTURE(step);
    SystemdBench bench;
    const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
    CHECK(bench.systemd({"create", "-b", bundle, bench.id()}, {"HUSK_KILL_AT=" + step}).status.code != 0);
    // The killed husk's child has the lock until it has died of that, and gc leaves alone what is locked.
    CHECK(eventually([&] {
      const auto done = step == "clone" ? bench.husk({"gc"}) : bench.husk({"delete", "--force", bench.id()});
      CHECK_MESSAGE(done.status.code == 0, done.err);
      return bench.husk({"state", bench.id()}).status.code != 0;
    }));
    CHECK(eventually([&] { return !path_exists(bench.directory()) && !bench.is_unit_there(); }));
  }
}

TEST_CASE("systemd: a create that fails at any step leaves no unit, no cgroup and no state") {
  REQUIRE_SYSTEMD();
  for (const std::string step : {"cgroup", "clone", "scope", "id-maps", "commit"}) {
    CAPTURE(step);
    SystemdBench bench;
    const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
    CHECK(bench.systemd({"create", "-b", bundle, bench.id()}, {"HUSK_FAIL_AT=" + step}).status.code != 0);
    CHECK(bench.husk({"state", bench.id()}).status.code != 0);
    CHECK_FALSE(path_exists(bench.directory()));
    CHECK_FALSE(bench.is_unit_there());
  }
}

TEST_CASE("systemd: what was saved is restored into a scope with its limits and devices, or nothing is left") {
  REQUIRE_SYSTEMD();
  if (!path_exists("/usr/sbin/criu")) HUSK_SKIP("needs criu (tests/vm/run --full)");
  SystemdBench bench;
  // CRIU restores no sleep: the system call ends with EINTR, and busybox's program with it.
  const auto bundle = bench.scope_bundle({"/bin/sh", "-c", "while :; do sleep 0.2; done"}, [](oci::Spec& spec) {
    take_limits(spec);
    may_make_devices(spec);
  });
  bench.run(bundle);
  const auto image = bench.path("image");
  const auto saved = bench.systemd({"checkpoint", "--network-lock", "skip", "--image-path", image, bench.id()});
  REQUIRE_MESSAGE(saved.status.code == 0, saved.err);
  REQUIRE(bench.systemd({"delete", bench.id()}).status.code == 0);
  const std::vector<std::string> restore{"restore", "-d", "--network-lock", "skip", "-b", bundle, "--image-path", image, bench.id()};
  for (const std::string step : {"restore-scope", "restore-namespaces", "restore-commit"}) {
    CAPTURE(step);
    CHECK(bench.systemd(restore, {"HUSK_FAIL_AT=" + step}).status.code != 0);
    CHECK(bench.systemd({"state", bench.id()}).status.code != 0);
    CHECK(eventually([&] { return !path_exists(bench.directory()) && !bench.is_unit_there(); }));
  }
  const auto done = bench.systemd(restore);
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(bench.status(bench.id()) == "running");
  CHECK(read_file(format_text("/proc/{}/cgroup", bench.pid(bench.id()))).value() == "0::/" + bench.slice + "/" + bench.unit() + "\n");
  CHECK(bench.property("MemoryMax") == "67108864");
  CHECK(bench.file("pids.max") == "20");
  const auto opened = bench.systemd({"exec", bench.id(), "/bin/sh", "-c", "mknod /tmp/mem c 1 1; head -c 0 /dev/zero && ! head -c 0 /tmp/mem"});
  CHECK_MESSAGE(opened.status.code == 0, opened.err);
  CHECK(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
  CHECK_FALSE(path_exists(bench.directory()));
}

TEST_CASE("without systemd --systemd-cgroup says so, and what to use instead") {
  REQUIRE_E2E();
  if (path_exists("/run/systemd/system")) HUSK_SKIP("systemd runs here");
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"}, [](oci::Spec& spec) { spec.linux.cgroups_path.clear(); });
  const auto done = bench.husk({"--systemd-cgroup", "run", "-b", bundle, bench.id()});
  CHECK(done.status.code != 0);
  CHECK_MESSAGE(contains(done.err, "systemd is not the init of this host"), done.err);
  CHECK(contains(done.err, "--cgroup-manager cgroupfs"));
  CHECK_WORLD(bench, before);
}
