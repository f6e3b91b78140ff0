// A plain user: husk makes the user namespace itself. Each run is a process of another user, without groups.
#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr const char* kUser = "54321";

// `husk`, a bundle of `husk spec --rootless` in ./b and a run directory, for a user that has nothing else. `edit` is a
// sed script for config.json, `prepare` what root does in the mount namespace of the run before.
Output as_user(Bench& bench, const std::string& script, const std::string& edit = "", const std::string& prepare = "") {
  const auto home = bench.path("home");
  const auto user_script = "cd " + home + "\nexport XDG_RUNTIME_DIR=" + home + "/run\nhusk() { ./husk \"$@\"; }\n"
                           "(cd b && ../husk spec --rootless && sed -i 's/\"terminal\": true/\"terminal\": false/; " + edit + "' config.json)\n" + script;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("script"), user_script));
  const std::string become = "exec setpriv --reuid " + std::string{kUser} + " --regid " + kUser + " --clear-groups env -i PATH=$PATH sh " + bench.path("script") + "\n";
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("prepare"), "set -e\n" + prepare + "\n" + become));
  return bench.shell("set -e\nmkdir -p " + home + "/b " + home + "/run\ncp -a " + busybox_rootfs() + " " + home + "/b/rootfs\ncp " + husk_binary() + " " + home +
                     "/husk\nchown -R " + kUser + ":" + kUser + " " + home + "\nexec unshare -m -p -f --kill-child --mount-proc --propagation private sh " + bench.path("prepare"));
}

std::string said(const Output& done) { return done.out + done.err; }

bool may_make_user_namespaces() {
  const auto done = run({.path = "/bin/sh", .arguments = {"sh", "-c", "setpriv --reuid 54321 --regid 54321 --clear-groups unshare -U true"}});
  return done.has_value() && done.value().status.success();
}

#define REQUIRE_PLAIN_USER()                                                           \
  REQUIRE_E2E();                                                                       \
  if (!may_make_user_namespaces()) HUSK_SKIP("needs user namespaces for plain users")

// /etc with the user, and ranges of ids that are theirs.
std::string with_ranges(Bench& bench) {
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("passwd"), "root:x:0:0::/:/bin/sh\nplain:x:54321:54321::/:/bin/sh\n"));
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("ranges"), "plain:700000:1000\n"));
  return "chmod 644 " + bench.path("passwd") + " " + bench.path("ranges") + "\nmount --bind " + bench.path("passwd") + " /etc/passwd\nfor f in subuid subgid; do : >>/etc/$f; mount --bind " +
         bench.path("ranges") + " /etc/$f; done\n";
}

// Id 0 is the user's own, 1 to 1000 are those of the range.
constexpr const char* kMapRanges = R"(s/"size": 1$/"size": 1}\, {"containerID": 1\, "hostID": 700000\, "size": 1000/;)";

bool has_id_mappers() { return path_exists("/usr/bin/newuidmap") && path_exists("/usr/bin/newgidmap"); }

// cgroup2 on /sys/fs/cgroup, a part of which is the user's: SESSION and what is made beside it.
std::string with_delegation(Bench& bench) {
  const auto part = "/sys/fs/cgroup/" + bench.id("user");
  return "mount -t cgroup2 none /sys/fs/cgroup\nmkdir -p " + part + "/session\nchown -R " + kUser + ":" + kUser + " " + part +
         "\necho 0 >" + part + "/session/cgroup.procs\n";
}

// The cgroups of the test and what is in them go with it.
struct Delegated {
  Bench& bench;
  ~Delegated() {
    const auto part = "/sys/fs/cgroup/" + bench.id("user");
    (void)bench.shell("exec unshare -m --propagation private sh -c 'mount -t cgroup2 none /sys/fs/cgroup; echo 1 >" + part +
                      "/cgroup.kill; find " + part + " -depth -type d -exec rmdir {} +'");
  }
};

}  // namespace

TEST_CASE("rootless: spec --rootless and run work for a plain user, and nothing is left") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto done = as_user(bench, "husk run -b b one; echo status $?; find run -mindepth 2 -not -path '*/.seccomp*'\n",
                            R"(s,"sh","sh\"\, \"-c\"\, \"id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; ls /sys >/dev/null \&\& echo x > /dev/null \&\& exit 5",)");
  CHECK_MESSAGE(contains(done.out, "0\n         0      54321          1\ndeny\nstatus 5\n"), said(done));
  CHECK_MESSAGE(done.out.ends_with("status 5\n"), done.out);
  CHECK_MESSAGE(!contains(done.err, "cgroup"), done.err);  // nobody asked for a limit
  const auto steps = as_user(bench, "husk --debug run -b b one\n", R"(s,"sh","true",)");
  CHECK_MESSAGE(contains(steps.err, "debug: runs without a cgroup"), said(steps));
  const auto piped = as_user(bench, "cat b/config.json | husk run -b b -f - one\n");
  CHECK_MESSAGE(contains(piped.err, "reads its configuration twice"), said(piped));
}

TEST_CASE("rootless: create, start, state, exec, kill and delete by a plain user") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto done = as_user(bench, "husk create -b b one >/dev/null 2>&1; husk state one | grep -c '\"status\": \"created\"'; husk state one | grep owner; husk start one; husk exec one id -u; husk list -q; husk kill one 9; "
                                   "husk wait one; husk delete one; husk list -q; echo end\n",
                            R"(s,"sh","sleep"\, "1000",)");
  CHECK_MESSAGE(contains(done.out, "1\n  \"owner\": \"#54321\""), said(done));  // root only in its own user namespace
  CHECK_MESSAGE(contains(done.out, "\n0\none\n"), said(done));
  CHECK_MESSAGE(done.out.ends_with("end\n"), said(done));
  CHECK_MESSAGE(done.out.find("one\n") == done.out.rfind("one\n"), said(done));  // listed once, before delete
}

TEST_CASE("rootless: without a place for the state the error says how to name one") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto done = as_user(bench, "XDG_RUNTIME_DIR=/proc/nowhere husk run -b b one; echo status $?\n", R"(s,"sh","true",)");
  CHECK_MESSAGE(contains(done.out, "status 1\n"), said(done));
  CHECK_MESSAGE(contains(done.err, "make the state directory"), said(done));
  CHECK_MESSAGE(contains(done.err, "--root, or below XDG_RUNTIME_DIR"), said(done));
}

TEST_CASE("CVE-2014-8989: additional groups and foreign ids of a plain user are errors with the remedy") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto groups = as_user(bench, "husk run -b b one\n", R"(s,"gid": 0$,"gid": 0\, "additionalGids": [0],)");
  CHECK(groups.status.code == 1);
  CHECK_MESSAGE(contains(groups.err, "denies setgroups"), groups.err);
  Bench other;
  const auto ids = as_user(other, "husk run -b b one\n", R"(s,"size": 1$,"size": 2,)");
  CHECK(ids.status.code == 1);
  const bool named = contains(ids.err, "newgidmap") || contains(ids.err, "newuidmap");
  CHECK_MESSAGE(named, ids.err);
}

TEST_CASE("rootless: limits that cannot be applied are an error, as is a config without a user namespace") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto limits = as_user(bench, "husk run -b b one\n", R"(s,"linux": {,"linux": { "resources": {"pids": {"limit": 5}}\,,)");
  CHECK(limits.status.code == 1);
  CHECK_MESSAGE(contains(limits.err, "cgroup"), limits.err);
  Bench other;
  const auto plain = as_user(other, "rm b/config.json; (cd b; ../husk spec); husk run -b b one\n");
  CHECK(plain.status.code == 1);
  CHECK_MESSAGE(contains(plain.err, "a plain user needs a user namespace"), plain.err);
  CHECK(contains(bench.husk({"--rootless", "maybe", "list"}).err, "neither true, false nor auto"));
}

TEST_CASE("rootless: ranges of /etc/subuid are mapped by newuidmap and newgidmap, and groups can be set") {
  REQUIRE_PLAIN_USER();
  if (!has_id_mappers()) HUSK_SKIP("needs the package uidmap");
  Bench bench;
  const auto done = as_user(bench, "husk run -b b one; echo status $?; stat -c %u:%g b/rootfs/mine; ls run/husk\n",
                            std::string{kMapRanges} + R"(s/"readonly": true/"readonly": false/; s/"gid": 0$/"gid": 0\, "additionalGids": [7]/; s,"sh","sh"\, "-c"\, "id -G; cat /proc/self/setgroups; touch /mine; chown 5:6 /mine",; s/"CAP_KILL"/"CAP_KILL"\, "CAP_CHOWN"/)",
                            with_ranges(bench));
  CHECK_MESSAGE(contains(done.out, "0 7\nallow\nstatus 0\n700004:700005\n"), said(done));
  CHECK_MESSAGE(done.out.ends_with("700005\n"), said(done));  // nothing is left below run/husk
}

TEST_CASE("rootless: ids outside one's ranges are refused by newuidmap, and without the programs the remedy is said") {
  REQUIRE_PLAIN_USER();
  if (!has_id_mappers()) HUSK_SKIP("needs the package uidmap");
  Bench bench;
  const auto beyond = as_user(bench, "husk run -b b one\n", R"(s/"size": 1$/"size": 1}\, {"containerID": 1\, "hostID": 800000\, "size": 10/)", with_ranges(bench));
  CHECK(beyond.status.code == 1);
  CHECK_MESSAGE(contains(beyond.err, "are these ids yours in /etc/subuid and /etc/subgid?"), beyond.err);
  Bench other;
  const auto without = as_user(other, "husk run -b b one\n", kMapRanges,
                               with_ranges(other) + "for f in newuidmap newgidmap; do mount --bind /etc/passwd /usr/bin/$f; done\n");
  CHECK(without.status.code == 1);
  CHECK_MESSAGE(contains(without.err, "install the package uidmap"), without.err);
}

TEST_CASE("rootless: in a delegated part of cgroup v2 the container has a cgroup of its own: pause, kill all, nothing left") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const Delegated end{bench};
  const auto script = "husk run -d -b b one >/dev/null 2>err; cat err\n"
                      "cut -d: -f3 /proc/$(husk state one | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')/cgroup | tail -n 1\n"
                      "husk pause one; husk state one | grep -c '\"status\": \"paused\"'; husk resume one; husk exec one echo inside\n"
                      "husk kill --all one KILL; husk wait one >/dev/null 2>&1; husk delete one; ls -d /sys/fs/cgroup/" + bench.id("user") + "/*/\n";
  const auto done = as_user(bench, script, R"(s,"sh","sh"\, "-c"\, "sleep 1000 \& sleep 1000",)", with_delegation(bench));
  const auto part = "/" + bench.id("user");
  CHECK_MESSAGE(done.out == part + "/husk-one\n1\ninside\n/sys/fs/cgroup" + part + "/session/\n", said(done));
}

TEST_CASE("rootless: exec --cgroup enters a part of the container's delegated cgroup that the user made, and nothing else") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const Delegated end{bench};
  const auto part = "/" + bench.id("user");
  const auto script = "husk run -d -b b one >/dev/null 2>err; cat err\nmkdir /sys/fs/cgroup" + part + "/husk-one/workers\n"
                      "for c in workers /workers ./workers/ /; do husk exec --cgroup $c one cat /proc/self/cgroup | grep ^0:; done\n"
                      "for c in .. ../session workers/../../session nothing a:b; do husk exec --cgroup $c one true 2>&1 | grep -c -e --cgroup; done\n"
                      "husk exec -d --pid-file pid --cgroup workers one sleep 1000; grep ^0: /proc/$(cat pid)/cgroup\n"
                      "husk delete -f one; ls -d /sys/fs/cgroup" + part + "/*/\n";
  const auto done = as_user(bench, script, R"(s,"sh","sh"\, "-c"\, "sleep 1000",)", with_delegation(bench));
  CHECK_MESSAGE(done.out == "0::/workers\n0::/workers\n0::/workers\n0::/\n1\n1\n1\n1\n1\n0::" + part + "/husk-one/workers\n/sys/fs/cgroup" + part + "/session/\n", said(done));
}

TEST_CASE("rootless: limits are applied where the controller is delegated, and refused with the reason where it is not") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const Delegated end{bench};
  const auto limited = [&](const std::string& prepare) {
    return as_user(bench, "husk run -b b one; echo status $?\n",
                   R"(s,"sh","sh"\, "-c"\, "cat /sys/fs/cgroup/pids.max",; s,"linux": {,"linux": { "resources": {"pids": {"limit": 77}}\,,)", with_delegation(bench) + prepare);
  };
  const bool has_pids = contains(bench.shell("exec unshare -m --propagation private sh -c 'mount -t cgroup2 none /sys/fs/cgroup; cat /sys/fs/cgroup/cgroup.controllers'").out, "pids");
  if (has_pids) {
    const auto applied = limited("echo +pids >/sys/fs/cgroup/cgroup.subtree_control\n");
    CHECK_MESSAGE(applied.out.ends_with("77\nstatus 0\n"), said(applied));
  } else {
    const auto refused = limited("");
    CHECK(refused.out == "status 1\n");
    CHECK_MESSAGE(contains(refused.err, "not delegated to us"), refused.err);
  }
}

TEST_CASE("rootless: a part of cgroup v1 that is the user's: limits are applied, device rules are not, nothing is left") {
  REQUIRE_PLAIN_USER();
  if (!path_exists("/sys/fs/cgroup/pids") || !path_exists("/sys/fs/cgroup/devices")) HUSK_SKIP("needs cgroup v1 in /sys/fs/cgroup");
  Bench bench;
  const auto part = "/" + bench.id("user");
  const auto parts = "/sys/fs/cgroup/*" + part;
  const auto own = "for m in /sys/fs/cgroup/*/; do d=$m" + part + "; mkdir $d\nfor f in cpus mems; do [ ! -e $d/cpuset.$f ] || cat $m/cpuset.$f >$d/cpuset.$f; done\ndone\n"
                   "[ ! -d /sys/fs/cgroup/unified ] || { mkdir /sys/fs/cgroup/unified" + part + "/session; echo 0 >/sys/fs/cgroup/unified" + part + "/session/cgroup.procs; }\n"
                   "chown -R " + kUser + ":" + kUser + " " + parts + "\n";
  const auto script = "husk run -d -b b one >/dev/null 2>err; echo status $?; cat err; cat /sys/fs/cgroup/pids" + part + "/leaf/pids.max\n"
                      "cmp /sys/fs/cgroup/devices" + part + "/leaf/devices.list /sys/fs/cgroup/devices" + part + "/devices.list && echo same\n"
                      "husk exec one echo inside; husk update --pids-limit 88 one; cat /sys/fs/cgroup/pids" + part + "/leaf/pids.max\n"
                      "husk delete -f one; ls -d " + parts + "/leaf 2>/dev/null | wc -l\n";
  const auto done = as_user(bench, script, R"(s,"sh","sh"\, "-c"\, "sleep 1000",; s,"linux": {,"linux": { "cgroupsPath": ")" + part +
                            R"(/leaf"\, "resources": {"pids": {"limit": 77}\, "devices": [{"allow": false\, "access": "rwm"}]}\,,)", own);
  CHECK_MESSAGE(done.out == "status 0\n77\nsame\ninside\n88\n0\n", said(done));
  const auto removed = bench.shell("for d in " + parts + "; do find $d -depth -type d -exec rmdir {} + || exit 1; done");
  CHECK_MESSAGE(removed.status.code == 0, removed.err);
}
