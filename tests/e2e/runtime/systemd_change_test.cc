// The systemd driver when somebody has frozen a slice, and what an update leaves in the unit: in tests/vm.
#include "systemd_bench.h"

using namespace husk;
using namespace husk::test;

TEST_CASE("systemd: below a slice that is frozen, create is refused by its name and nothing is left; resume says so") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  const auto stem = bench.slice.substr(0, bench.slice.size() - 6);
  const auto top = "/sys/fs/cgroup/" + bench.slice;
  const auto inner = stem + "-inner.slice";
  REQUIRE(bench.shell("systemctl start " + bench.slice + " " + inner).status.code == 0);
  struct Row {
    std::string slice, freeze, thaw;
  };
  for (const auto& row : {Row{bench.slice, "systemctl freeze " + bench.slice, "systemctl thaw " + bench.slice},
                          Row{bench.slice, "echo 1 >" + top + "/cgroup.freeze", "echo 0 >" + top + "/cgroup.freeze"},
                          Row{inner, "echo 1 >" + top + "/cgroup.freeze", "echo 0 >" + top + "/cgroup.freeze"}}) {
    CAPTURE(row.freeze);
    CAPTURE(row.slice);
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) { spec.linux.cgroups_path = row.slice + ":husk:" + bench.id(); });
    const auto do_it = [&](const std::string& command) {
      const auto done = bench.shell(command);
      REQUIRE_MESSAGE(done.status.code == 0, done.err);
    };
    const auto is_frozen_error = [&](const Output& done) {
      CHECK(done.status.code == 1);
      CHECK_MESSAGE(contains(done.err, "cgroup \"" + top + "\", above the container's, is frozen"), done.err);
      CHECK_MESSAGE(contains(done.err, "(hint: thaw it first: write 0 to its cgroup.freeze"), done.err);
    };
    const auto before = bench.world();
    do_it(row.freeze);
    for (const std::string verb : {"create", "run"}) {
      CAPTURE(verb);
      is_frozen_error(bench.systemd({verb, "-b", bundle, bench.id()}));
      CHECK_FALSE(bench.is_unit_there());
      CHECK_WORLD(bench, before);
    }
    do_it(row.thaw);
    bench.run(bundle);
    REQUIRE(bench.systemd({"pause", bench.id()}).status.code == 0);
    do_it("echo 1 >" + top + "/cgroup.freeze");
    is_frozen_error(bench.systemd({"resume", bench.id()}));
    do_it("echo 0 >" + top + "/cgroup.freeze");
    CHECK(eventually([&] { return bench.status(bench.id()) == "running"; }));
    CHECK(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("systemd: a container that is idle no more is not made so again by a reload") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { spec.linux.resources.cpu = oci::CpuLimits{.idle = 1}; }));
  const auto reload = [&] { REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0); };
  reload();
  CHECK(bench.file("cpu.idle") == "1");
  const auto update = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), "update");
    flags.push_back(bench.id());
    const auto done = bench.systemd(flags);
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    reload();
  };
  update({"--cpu-idle", "0"});
  CHECK(bench.file("cpu.idle") == "0");
  CHECK(bench.file("cpu.weight") == "100");
  update({"--cpu-idle", "1"});
  CHECK(bench.file("cpu.idle") == "1");
  update({"--cpu-idle", "0", "--cpu-share", "512"});
  CHECK(bench.file("cpu.idle") == "0");
  CHECK(bench.file("cpu.weight") == "59");
}

TEST_CASE("systemd: an update that systemd refuses leaves the limits of devices and of no value as they were") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}));
  if (!path_exists(bench.directory() + "/io.max")) HUSK_SKIP("this kernel throttles no block devices");
  const auto device = std::string{trim(bench.shell("cat /sys/block/[!lrz]*/dev | head -n 1").out)};
  const auto limit = device + " rbps=1048576 wbps=max riops=max wiops=max";
  const auto file = bench.path("resources.json");
  const auto update = [&](const std::string& unified) {
    REQUIRE_OK(write_atomically(AT_FDCWD, file, R"({"unified":{)" + unified + "}}"));
    return bench.systemd({"update", "-r", file, bench.id()});
  };
  const auto refused = [&] {
    const auto done = update(R"("io.max":")" + device + R"( wbps=2097152","memory.high":"0")");  // the kernel takes both
    CHECK(done.status.code != 0);
    CHECK_MESSAGE(contains(done.err, "MemoryHigh"), done.err);
  };
  refused();
  CHECK(bench.file("io.max").empty());
  const auto done = update(R"("io.max":")" + limit + R"(")");
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(bench.file("io.max") == limit);
  refused();
  CHECK(bench.file("io.max") == limit);
}

TEST_CASE("systemd: what another user of the bus says of our job is not believed") {
  REQUIRE_SYSTEMD();
  SystemdBench bench;
  if (bench.shell("command -v busctl setpriv").status.code != 0) HUSK_SKIP("needs busctl and setpriv");
  const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
  // Numbers of jobs go up by one. With systemd's own socket out of sight, husk-scope takes the system's bus.
  const std::string script = R"SH(
    manager="org.freedesktop.systemd1.Manager"
    job=$(busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 $manager StartUnit ss system.slice replace | tr -dc 0-9 | cut -c2-)
    liars=
    for i in 1 2 3 4; do
      setpriv --reuid 65534 --clear-groups sh -c "while :; do
        for n in 1 2; do busctl --system emit /org/freedesktop/systemd1 $manager JobRemoved uoss \$(($job + n)) /org/freedesktop/systemd1/job/\$(($job + n)) x failed; done
      done" >/dev/null 2>&1 &
      liars="$liars $!"
    done
    sleep 0.3
    )SH";
  for (int round = 0; round < 6; ++round) {
    CAPTURE(round);
    const auto done = bench.shell(script + "unshare -m sh -c 'mount --bind /dev/null /run/systemd/private; exec " + husk_binary() + " --systemd-cgroup --root " +
                                  bench.root() + " run -d -b " + bundle + " " + bench.id() + "'; code=$?; kill $liars; exit $code");
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
  }
}
