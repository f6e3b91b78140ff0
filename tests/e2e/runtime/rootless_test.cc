// A plain user: husk makes the user namespace itself. Each run is a process of another user, without groups.
#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr const char* kUser = "54321";

// `husk`, a bundle of `husk spec --rootless` in ./b and a run directory, for a user that has nothing else. `edit` is a
// sed script for config.json.
Output as_user(Bench& bench, const std::string& script, const std::string& edit = "") {
  const auto home = bench.path("home");
  const auto user_script = "cd " + home + "\nexport XDG_RUNTIME_DIR=" + home + "/run\nhusk() { ./husk \"$@\"; }\n"
                           "(cd b && ../husk spec --rootless && sed -i 's/\"terminal\": true/\"terminal\": false/; " + edit + "' config.json)\n" + script;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("script"), user_script));
  return bench.shell("set -e\nmkdir -p " + home + "/b " + home + "/run\ncp -a " + busybox_rootfs() + " " + home + "/b/rootfs\ncp " + husk_binary() + " " + home +
                     "/husk\nchown -R " + kUser + ":" + kUser + " " + home + "\nexec unshare -m -p -f --kill-child --mount-proc --propagation private setpriv --reuid " + kUser +
                     " --regid " + kUser + " --clear-groups env -i PATH=$PATH sh " + bench.path("script"));
}

std::string said(const Output& done) { return done.out + done.err; }

bool may_make_user_namespaces() {
  const auto done = run({.path = "/bin/sh", .arguments = {"sh", "-c", "setpriv --reuid 54321 --regid 54321 --clear-groups unshare -U true"}});
  return done.has_value() && done.value().status.success();
}

#define REQUIRE_PLAIN_USER()                                                           \
  REQUIRE_E2E();                                                                       \
  if (!may_make_user_namespaces()) HUSK_SKIP("needs user namespaces for plain users")

}  // namespace

TEST_CASE("rootless: spec --rootless and run work for a plain user, and nothing is left") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto done = as_user(bench, "husk run -b b one; echo status $?; find run -mindepth 2 -not -path '*/.seccomp*'\n",
                            R"(s,"sh","sh\"\, \"-c\"\, \"id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; ls /sys >/dev/null \&\& echo x > /dev/null \&\& exit 5",)");
  CHECK_MESSAGE(contains(done.out, "0\n         0      54321          1\ndeny\nstatus 5\n"), said(done));
  CHECK_MESSAGE(done.out.ends_with("status 5\n"), done.out);
  CHECK_MESSAGE(contains(done.err, "limits could not be applied"), done.err);
}

TEST_CASE("rootless: create, start, state, exec, kill and delete by a plain user") {
  REQUIRE_PLAIN_USER();
  Bench bench;
  const auto done = as_user(bench, "husk create -b b one >/dev/null 2>&1; husk state one | grep -c '\"status\": \"created\"'; husk start one; husk exec one id -u; husk list -q; husk kill one 9; "
                                   "husk wait one; husk delete one; husk list -q; echo end\n",
                            R"(s,"sh","sleep"\, "1000",)");
  CHECK_MESSAGE(contains(done.out, "1\n0\none\n"), said(done));
  CHECK_MESSAGE(done.out.ends_with("end\n"), said(done));
  CHECK_MESSAGE(done.out.find("one\n") == done.out.rfind("one\n"), said(done));  // listed once, before delete
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
