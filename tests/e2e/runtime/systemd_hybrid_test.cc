// The systemd driver where systemd manages cgroup v1 hierarchies and its own v2 one: tests/vm/run --hybrid.
#include "systemd_bench.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr const char* kTop = "/sys/fs/cgroup";

#define REQUIRE_HYBRID()                                                                                       \
  do {                                                                                                         \
    REQUIRE_E2E();                                                                                             \
    if (!path_exists("/run/systemd/private") || !path_exists("/sys/fs/cgroup/devices/devices.list"))           \
      HUSK_SKIP("needs systemd as PID 1 on cgroup v1 (tests/vm/run --hybrid)");                                \
  } while (false)

struct HybridBench : SystemdBench {
  // Where a directory of that name is: one line for each hierarchy.
  std::string places() { return shell(format_text("find {} -type d -name '{}'", kTop, unit())).out; }
  std::string devices() { return shell(format_text("cat {}/devices/{}/{}/devices.list", kTop, slice, unit())).out; }
  Output update_devices(const std::string& rules) {
    const auto file = path("resources.json");
    REQUIRE_OK(write_atomically(AT_FDCWD, file, R"({"devices":[{"allow":false,"access":"rwm"})" + rules + "]}"));
    return systemd({"update", "-r", file, id()});
  }
};

// The hierarchies, systemd's own and the v2 one among them, in which the process is not in the cgroup `path`.
std::string elsewhere(Bench& bench, const std::string& pid, const std::string& path) {
  const auto done = bench.shell("for m in /sys/fs/cgroup/*; do mountpoint -q $m || continue; grep -qx " + pid + " $m" + path +
                                "/cgroup.procs || echo $m; done");
  return done.out + done.err;
}

// systemd waits 20 ms whenever it opens this file: what it does step by step lasts long enough to be seen.
class SlowSystemd {
 public:
  SlowSystemd(Bench& bench, const std::string& file) : bench_{&bench} {
    const auto started = bench.shell("strace -qq -p 1 -o /dev/null -P " + file + " -e trace=openat -e inject=openat:delay_exit=20000 >/dev/null 2>&1 & "
                                     "echo $!; until grep -q 'TracerPid:.[1-9]' /proc/1/status; do sleep 0.05; kill -0 $! || exit 1; done");
    REQUIRE_MESSAGE(started.status.code == 0, started.err);
    pid_ = std::string{trim(started.out)};
  }
  SlowSystemd(const SlowSystemd&) = delete;
  SlowSystemd& operator=(const SlowSystemd&) = delete;
  ~SlowSystemd() { (void)bench_->shell("kill " + pid_ + "; while grep -q 'TracerPid:.[1-9]' /proc/1/status; do sleep 0.05; done"); }

 private:
  Bench* bench_;
  std::string pid_;
};

const std::string kKmsg = R"(,{"allow":true,"type":"c","major":1,"minor":11,"access":"rw"})";
const std::string kMem = R"(,{"allow":true,"type":"c","major":1,"minor":1,"access":"rw"})";

}  // namespace

TEST_CASE("a hybrid host: a container and what exec starts are in every hierarchy, the v2 one too, and delete leaves none") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/unified/cgroup.procs") || !path_exists("/sys/fs/cgroup/systemd/cgroup.procs"))
    HUSK_SKIP("needs a hybrid host: v1 controllers, name=systemd and the v2 hierarchy");
  Bench bench;
  const auto path = "/husk/" + bench.id();
  const auto run = bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) { spec.linux.cgroups_path.clear(); }), bench.id()});
  REQUIRE_MESSAGE(run.status.code == 0, run.err);
  CHECK(elsewhere(bench, std::to_string(bench.pid(bench.id())), path).empty());
  const auto exec = bench.husk({"exec", "-d", "--pid-file", bench.path("exec.pid"), bench.id(), "/bin/sleep", "1000"});
  REQUIRE_MESSAGE(exec.status.code == 0, exec.err);
  CHECK(elsewhere(bench, std::string{trim(read_file(bench.path("exec.pid")).value())}, path).empty());
  CHECK(bench.husk({"delete", "--force", bench.id()}).status.code == 0);
  const auto left = bench.shell("find /sys/fs/cgroup -type d -name " + bench.id()).out;
  CHECK_MESSAGE(left.empty(), left);
}

TEST_CASE("systemd on a hybrid host: a container and what exec starts are in the scope in every hierarchy, and delete leaves none") {
  REQUIRE_HYBRID();
  HybridBench bench;
  bench.run(bench.scope_bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) {
    spec.linux.resources.pids_limit = 20;
    spec.linux.resources.cpu = oci::CpuLimits{.shares = 512, .quota = 20000, .period = 100000};
  }));
  const auto scope = "/" + bench.slice + "/" + bench.unit();
  const auto init = std::to_string(bench.pid(bench.id()));
  CHECK(elsewhere(bench, init, scope).empty());
  REQUIRE(bench.systemd({"exec", "-d", "--pid-file", bench.path("exec.pid"), bench.id(), "/bin/sleep", "1000"}).status.code == 0);
  CHECK(elsewhere(bench, std::string{trim(read_file(bench.path("exec.pid")).value())}, scope).empty());
  const auto done = bench.systemd({"update", "--pids-limit", "33", "--cpu-quota", "30000", "--cpu-period", "100000", bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  for (const bool reload : {false, true}) {
    CAPTURE(reload);
    if (reload) REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0);
    CHECK(bench.shell("cat /sys/fs/cgroup/pids" + scope + "/pids.max /sys/fs/cgroup/cpu,cpuacct" + scope + "/cpu.cfs_quota_us").out == "33\n30000\n");
    CHECK(bench.property("TasksMax") == "33");
  }
  CHECK(bench.systemd({"pause", bench.id()}).status.code == 0);
  CHECK(bench.status(bench.id()) == "paused");
  CHECK(bench.systemd({"resume", bench.id()}).status.code == 0);
  CHECK(bench.systemd({"delete", "--force", bench.id()}).status.code == 0);
  CHECK(bench.places().empty());
  CHECK_FALSE(bench.is_unit_there());
}

TEST_CASE("systemd on a hybrid host: another device list is in force in unit and kernel, and nobody is refused meanwhile") {
  REQUIRE_HYBRID();
  HybridBench bench;
  // /dev/zero is in both lists: it is never refused.
  const auto script = "fails=0; rounds=0; while :; do true </dev/zero || fails=$((fails+1)); "
                      "rounds=$((rounds+1)); echo $rounds $fails >/tmp/new; mv /tmp/new /tmp/count; done 2>/dev/null";
  bench.run(bench.scope_bundle({"/bin/sh", "-c", script}, may_make_devices));
  REQUIRE(bench.systemd({"exec", bench.id(), "/bin/sh", "-c", "mknod /tmp/kmsg c 1 11; mknod /tmp/mem c 1 1"}).status.code == 0);
  const auto opens = [&](const std::string& name) { return bench.systemd({"exec", bench.id(), "/bin/head", "-c", "0", "/tmp/" + name}).status.code == 0; };
  const auto check = [&](bool kmsg, bool mem) {
    for (const bool reload : {false, true}) {
      CAPTURE(reload);
      if (reload) REQUIRE(bench.shell("systemctl daemon-reload").status.code == 0);
      const auto list = bench.devices();
      CAPTURE(list);
      CHECK(contains(list, "c 1:11 rw") == kmsg);
      CHECK(contains(list, "c 1:1 rw") == mem);
      CHECK(contains(list, "c 1:5 rwm"));
      CHECK(opens("kmsg") == kmsg);
      CHECK(opens("mem") == mem);
    }
  };
  // A reload is systemd's own doing, denies all for a moment, and is not counted.
  const auto count = [&] { return std::string{trim(bench.systemd({"exec", bench.id(), "/bin/cat", "/tmp/count"}).out)}; };
  REQUIRE(eventually([&] { return !count().empty(); }));
  for (const auto& rules : {kKmsg, kMem}) {
    const SlowSystemd slow{bench, "/sys/fs/cgroup/devices/" + bench.slice + "/" + bench.unit() + "/devices.allow"};
    const auto done = bench.update_devices(rules);
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
  }
  CHECK_MESSAGE(count().ends_with(" 0"), count());
  check(false, true);
  CHECK(bench.update_devices(kKmsg + kMem).status.code == 0);
  check(true, true);
  CHECK(bench.status(bench.id()) == "running");
}

TEST_CASE("systemd on a hybrid host: device rules that a reload would widen are refused by name, and nothing changes") {
  REQUIRE_HYBRID();
  HybridBench bench;
  const auto bundle = bench.scope_bundle({"/bin/sleep", "1000"});
  bench.run(bundle);
  const auto before = bench.devices();
  for (const auto& rules : {std::string{R"(,{"allow":true,"type":"c","minor":11,"access":"rw"})"},
                            std::string{R"(,{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"access":"w"})"}}) {
    const auto done = bench.update_devices(rules);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "\"/linux/resources/devices\""), done.err);
    CHECK(bench.devices() == before);
  }
}

TEST_CASE("systemd on a hybrid host: twenty containers at a time leave no unit and no cgroup") {
  REQUIRE_HYBRID();
  HybridBench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) { spec.linux.cgroups_path = bench.slice + ":husk:x"; });
  const auto done = bench.shell(
      "for i in $(seq 20); do mkdir -p " + bench.path("b") + "$i; sed 's/:husk:x/:husk:" + bench.id() + "'$i'/' " + bundle + "/config.json >" + bench.path("b") +
      "$i/config.json; " + husk_binary() + " --systemd-cgroup --root " + bench.root() + " run -b " + bench.path("b") + "$i " + bench.id() + "$i & done; wait");
  CHECK_MESSAGE(done.err.empty(), done.err);
  const auto left = bench.shell("find /sys/fs/cgroup -type d -name 'husk-" + bench.id() + "*'; systemctl list-units --all --no-legend 'husk-" + bench.id() + "*'").out;
  CHECK_MESSAGE(left.empty(), left);
}
