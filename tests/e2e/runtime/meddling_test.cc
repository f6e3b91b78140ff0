// What others do to a container behind husk's back, with its files, its cgroup or the cgroups above: one clear error that
// says what is to be done, and nothing lost.
#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "bench.h"

namespace husk::test {
namespace {

// Fails with one line that has all of `texts`.
void check_refused(const Output& done, const std::vector<std::string>& texts) {
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(std::ranges::count(done.err, '\n') == 1, done.err);
  for (const auto& text : texts) CHECK_MESSAGE(contains(done.err, text), done.err);
}

std::string start_sleep(Bench& bench) {
  const auto id = bench.id();
  const auto done = bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), id});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  return id;
}

std::string cgroup_of(Bench& bench, const std::string& id) { return *bench.state(id).find("cgroupPath")->as_string(); }

// A cgroup above a container's, frozen by hand. Ends thawed and removed.
class FrozenParent {
 public:
  FrozenParent(Bench& bench, const std::string& mount, const std::string& path)
      : bench_{bench}, directory_{mount + path}, v1_{contains(mount, "freezer")} {
    REQUIRE(bench.shell("mkdir -p " + directory_).status.code == 0);
  }
  FrozenParent(const FrozenParent&) = delete;
  FrozenParent& operator=(const FrozenParent&) = delete;
  ~FrozenParent() {
    set(false);
    bench_.shell("find /sys/fs/cgroup/ -depth -type d -path '*" + directory_.substr(directory_.find("/husk-e2e")) + "*' -exec rmdir {} +");
  }
  void set(bool frozen) const {
    const std::string line = v1_ ? (frozen ? "echo FROZEN > " : "echo THAWED > ") : (frozen ? "echo 1 > " : "echo 0 > ");
    CHECK(bench_.shell(line + directory_ + (v1_ ? "/freezer.state" : "/cgroup.freeze")).status.code == 0);
  }

 private:
  Bench& bench_;
  std::string directory_;
  bool v1_;
};

void check_below_frozen(Hierarchy hierarchy, const std::string& mount) {
  Bench bench{hierarchy};
  const auto id = bench.id();
  const auto above = "/husk-e2e/" + bench.id("frozen");
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) { spec.linux.cgroups_path = above + "/leaf"; });
  const FrozenParent parent{bench, mount, above};
  parent.set(true);
  const auto before = bench.world();
  check_refused(bench.husk({"create", "-b", bundle, id}), {above, "is frozen", "thaw it first"});
  CHECK_WORLD(bench, before);
  parent.set(false);
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, id}).status.code == 0);
  REQUIRE(bench.husk({"pause", id}).status.code == 0);
  parent.set(true);
  check_refused(bench.husk({"resume", id}), {above, "is frozen", "thaw it first"});
  parent.set(false);
  CHECK(eventually([&] { return bench.status(id) == "running"; }));
  CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
}

}  // namespace

TEST_CASE("delete --force with a record that cannot be read kills nobody, says who lives, and keeps what tells of it") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    const auto id = start_sleep(bench);
    const auto pid = std::to_string(bench.pid(id));
    const auto directory = bench.root() + "/" + id;
    const auto record = read_file(directory + "/state.json").value();
    const auto config = read_file(directory + "/config.json").value();
    REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/state.json", "{"));
    check_refused(bench.husk({"delete", "--force", id}), {id + "/state.json", pid, "/husk-e2e/", "kill -KILL"});
    REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/config.json", "["));
    check_refused(bench.husk({"delete", "--force", id}), {id + "/state.json", "config.json", directory});
    REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/config.json", config));
    REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/state.json", record));
    CHECK(bench.status(id) == "running");
    REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/state.json", "{"));
    bench.shell("kill -9 " + pid + "; while grep -q 'State:\t[^Z]' /proc/" + pid + "/status 2>/dev/null; do sleep 0.01; done");
    const auto done = bench.husk({"delete", "--force", id});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a cgroup that somebody removed: each verb that needs it says so, and delete --force ends the container") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    const auto id = start_sleep(bench);
    const auto path = cgroup_of(bench, id);
    const auto moved = bench.shell("for d in $(find /sys/fs/cgroup/ -type d -path '*" + path + "'); do for p in $(cat $d/cgroup.procs); do echo $p > ${d%" +
                                   path + "}/cgroup.procs; done; rmdir $d || exit 1; done");
    REQUIRE_MESSAGE(moved.status.code == 0, moved.err);
    const std::vector<std::vector<std::string>> verbs{{"kill", "--all", id, "TERM"}, {"ps", id}, {"exec", id, "/bin/true"},
                                                      {"pause", id}, {"update", "--pids-limit", "10", id}, {"events", "--stats", id}};
    for (const auto& verb : verbs) {
      CAPTURE(verb.front());
      check_refused(bench.husk(verb), {path, "somebody removed or replaced it", "husk delete --force " + id});
    }
    CHECK(bench.status(id) == "running");
    CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("too many open files: the limit is named, whatever husk opened at that moment, and nothing is left") {
  REQUIRE_E2E();
#ifdef __SANITIZE_ADDRESS__
  HUSK_SKIP("a sanitizer needs descriptors itself, for its library and its checks");
#endif
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"});
  const auto before = bench.world();
  for (int limit = 3; limit < 8; ++limit) {
    CAPTURE(limit);
    const auto done = bench.shell(format_text("exec prlimit --nofile={}:{} {} --root {} run -b {} {}", limit, limit, husk_binary(),
                                              bench.root(), bundle, bench.id()));
    check_refused(done, {"Too many open files", "RLIMIT_NOFILE"});
    CHECK_FALSE(contains(done.err, "not its name"));
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a frozen cgroup above: create is refused before anything is made, resume does not say that all goes on") {
  REQUIRE_E2E();
  const std::string unified = path_exists("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
  if (!path_exists(unified + "/cgroup.procs")) HUSK_SKIP("needs a cgroup v2 hierarchy in /sys/fs/cgroup or /sys/fs/cgroup/unified");
  check_below_frozen(Hierarchy::unified, unified);
  check_below_frozen(Hierarchy::native, unified);
  if (path_exists("/sys/fs/cgroup/freezer")) check_below_frozen(Hierarchy::native, "/sys/fs/cgroup/freezer");
}

TEST_CASE("cgroup v1: below a frozen cgroup delete --force says at once who holds the container, and does nothing by halves") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/freezer")) HUSK_SKIP("needs the cgroup v1 controller freezer in /sys/fs/cgroup/freezer");
  Bench bench;
  const auto before = bench.world();
  const auto id = bench.id();
  const auto above = "/husk-e2e/" + bench.id("frozen");
  {
    const FrozenParent parent{bench, "/sys/fs/cgroup/freezer", above};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) { spec.linux.cgroups_path = above + "/leaf"; });
    REQUIRE(bench.husk({"run", "-d", "-b", bundle, id}).status.code == 0);
    const auto pid = bench.pid(id);
    parent.set(true);
    check_refused(bench.husk({"delete", "--force", id}), {above + "\", above the container's, is frozen", "write THAWED to its freezer.state"});
    CHECK_FALSE(contains(read_file(format_text("/proc/{}/status", pid)).value(), "SigPnd:\t0000000000000100"));
    CHECK_FALSE(contains(read_file(format_text("/proc/{}/status", pid)).value(), "ShdPnd:\t0000000000000100"));
    const auto killed = bench.husk({"kill", id, "KILL"});
    CHECK(killed.status.code == 0);
    CHECK_MESSAGE(contains(killed.err, "ends only after a thaw"), killed.err);
    CHECK_MESSAGE(contains(killed.err, above), killed.err);
    parent.set(false);
    CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
  }
  CHECK_WORLD(bench, before);
}

TEST_CASE("a first process that was moved out of its cgroup: pause refuses, kill --all reaches it all the same") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto before = bench.world();
    const auto id = start_sleep(bench);
    const auto pid = std::to_string(bench.pid(id));
    const auto path = cgroup_of(bench, id);
    const auto moved = bench.shell("for d in $(find /sys/fs/cgroup/ -type d -path '*" + path + "'); do echo " + pid + " > ${d%" + path + "}/cgroup.procs || exit 1; done");
    REQUIRE_MESSAGE(moved.status.code == 0, moved.err);
    check_refused(bench.husk({"pause", id}), {"process " + pid, path, "somebody moved it"});
    CHECK(bench.status(id) == "running");
    CHECK(bench.husk({"kill", "--all", id, "KILL"}).status.code == 0);
    CHECK(eventually([&] { return bench.status(id) == "stopped"; }));
    CHECK(bench.husk({"delete", id}).status.code == 0);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("no more pids: exec and create name the limit, its cgroup and the numbers") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/pids")) HUSK_SKIP("needs the cgroup v1 controller pids in /sys/fs/cgroup/pids");
  Bench bench;
  const auto before = bench.world();
  const auto id = bench.id();
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) { spec.linux.resources.pids_limit = 1; });
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, id}).status.code == 0);
  check_refused(bench.husk({"exec", id, "/bin/true"}), {"clone3(", "pids.max of ", cgroup_of(bench, id), "is reached: 1 of 1 in use", "--pids-limit"});
  CHECK(bench.husk({"update", "--pids-limit", "10", id}).status.code == 0);
  CHECK(bench.husk({"exec", id, "/bin/true"}).status.code == 0);
  CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
  CHECK_WORLD(bench, before);
}

TEST_CASE("a mount over the cgroup hierarchies: the error says so, and that no controller is missing") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/pids")) HUSK_SKIP("needs cgroup v1 in /sys/fs/cgroup");
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"}, [](oci::Spec& spec) { spec.linux.cgroups_path.clear(); });
  const auto done = bench.shell("exec unshare -m --propagation private sh -c 'mount -t tmpfs none /sys/fs/cgroup; exec " + husk_binary() + " --root " +
                                bench.root() + " run -b " + bundle + " " + bench.id() + "'");
  check_refused(done, {"in /proc/self/mountinfo, but another mount hides it", "unmount what lies over it", "--cgroup-manager disabled"});
  CHECK_WORLD(bench, before);
}

TEST_CASE("cgroup v1: who is in the v1 freezer by somebody's hand is paused: exec is refused, resume ends it") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/freezer")) HUSK_SKIP("needs the cgroup v1 controller freezer in /sys/fs/cgroup/freezer");
  Bench bench;
  const auto id = start_sleep(bench);
  const auto state = "/sys/fs/cgroup/freezer" + cgroup_of(bench, id) + "/freezer.state";
  REQUIRE(bench.shell("echo FROZEN > " + state).status.code == 0);
  CHECK(eventually([&] { return bench.status(id) == "paused"; }));
  check_refused(bench.husk({"exec", id, "/bin/true"}), {"cannot exec in a paused container"});
  CHECK(bench.husk({"resume", id}).status.code == 0);
  CHECK(bench.status(id) == "running");
  CHECK(bench.husk({"exec", id, "/bin/true"}).status.code == 0);
  CHECK(bench.husk({"delete", "--force", id}).status.code == 0);
}

}  // namespace husk::test
