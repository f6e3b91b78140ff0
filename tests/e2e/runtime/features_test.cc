// husk features: one JSON document, and what its annotations say of this host.
#include <linux/capability.h>
#include <algorithm>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

oci::Json document(Bench& bench, const std::string& prefix = "") {
  const auto done = bench.shell(prefix + " husk features 2>&1");  // CRI-O reads both as one
  REQUIRE_MESSAGE(done.status.code == 0, done.out);
  auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  return std::move(json).value();
}

std::string said(const oci::Json& json, const std::string& key) {
  const auto* value = json.find("annotations")->find(key);
  return value == nullptr ? "(nothing)" : *value->as_string();
}

// What the host says when it is asked in another way than by husk.
std::string of_host(Bench& bench, const std::string& script, Hierarchy hierarchy = Hierarchy::native) {
  const std::string mount = hierarchy == Hierarchy::unified ? "mount -t cgroup2 none /sys/fs/cgroup; " : "";
  return std::string{trim(bench.shell("exec unshare -m --propagation private sh -c '" + mount + script + "'").out)};
}

std::vector<std::string> strings(const oci::Json& list) {
  std::vector<std::string> all;
  for (const auto& item : *list.as_array()) all.push_back(*item.as_string());
  return all;
}

}  // namespace

TEST_CASE("features.md: annotations say what this host has, as the host itself says it") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto json = document(bench);
    const auto yes = [&](const std::string& test) { return of_host(bench, "if " + test + "; then echo true; else echo false; fi"); };
    CHECK(said(json, "husk.host.cgroup") == of_host(bench, "[ \"$(stat -fc %T /sys/fs/cgroup)\" = cgroup2fs ] && echo v2 || echo v1", hierarchy));
    CHECK(said(json, "husk.host.cgroup.controllers") ==
          of_host(bench, "if [ -e /sys/fs/cgroup/cgroup.controllers ]; then tr \" \" , </sys/fs/cgroup/cgroup.controllers; "
                         "else grep -v ^# /proc/cgroups | while read -r name tree _ on; do [ $tree$on = ${tree#0}1 ] && echo $name; done | paste -sd,; fi", hierarchy));
    CHECK(said(json, "husk.host.cgroup.systemd") == yes("[ -d /run/systemd/system ]"));
    CHECK(said(json, "husk.host.apparmor") == yes("grep -qs ^Y /sys/module/apparmor/parameters/enabled"));
    CHECK(said(json, "husk.host.selinux") == yes("[ -e /sys/fs/selinux/enforce ]"));
    CHECK(said(json, "husk.host.intelRdt") == yes("grep -q \" - resctrl \" /proc/self/mountinfo"));
    CHECK(said(json, "husk.host.newuidmap") == yes("command -v newuidmap >/dev/null && command -v newgidmap >/dev/null"));
    CHECK(said(json, "husk.host.userNamespaces") == yes("unshare -U true 2>/dev/null"));
    CHECK(said(json, "husk.host.memoryPolicy") == yes("[ -e /proc/self/numa_maps ]"));
    CHECK(said(json, "husk.host.namespaces") ==
          of_host(bench, "ls /proc/self/ns | grep -v _for_children | sed \"s/^mnt$/mount/; s/^net$/network/\" | paste -sd,"));
    const auto last = parse_uint32(of_host(bench, "cat /proc/sys/kernel/cap_last_cap")).value();
    const auto unknown = said(json, "husk.host.capabilities.unknown");
    CHECK(unknown.empty() == (last >= CAP_CHECKPOINT_RESTORE));
  }
}

TEST_CASE("features.md: the last two are as true as a mount: idmap and options of a whole tree") {
  REQUIRE_E2E();
  Bench bench;
  const auto json = document(bench);
  const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, [](oci::Spec& spec) {
    spec.mounts.push_back({.destination = "/tmp", .type = "bind", .source = "/etc", .options = {"rbind", "rro"}});
  }), bench.id()});
  CHECK(said(json, "husk.host.mountOptions.recursive") == (done.status.code == 0 ? "true" : "false"));
  CHECK(said(json, "husk.host.mountExtensions.idmap") == said(json, "husk.host.mountOptions.recursive"));
}

TEST_CASE("features-linux.md#linuxFeaturesSeccomp: actions are those of this kernel, and each flag that is listed loads") {
  REQUIRE_E2E();
  Bench bench;
  const auto json = document(bench);
  const auto& seccomp = *json.find("linux")->find("seccomp");
  const auto available = of_host(bench, "cat /proc/sys/kernel/seccomp/actions_avail") + " ";
  const auto actions = strings(*seccomp.find("actions"));
  struct Row {
    const char* action;
    const char* kernel;
  };
  for (const auto& row : {Row{"SCMP_ACT_KILL_PROCESS", "kill_process"}, Row{"SCMP_ACT_KILL_THREAD", "kill_thread"}, Row{"SCMP_ACT_TRAP", "trap"},
                          Row{"SCMP_ACT_ERRNO", "errno"}, Row{"SCMP_ACT_NOTIFY", "user_notif"}, Row{"SCMP_ACT_TRACE", "trace"},
                          Row{"SCMP_ACT_LOG", "log"}, Row{"SCMP_ACT_ALLOW", "allow"}}) {
    CAPTURE(row.action);
    CHECK((std::ranges::find(actions, row.action) != actions.end()) == contains(available, std::string{row.kernel} + " "));
  }
  const auto known = strings(*seccomp.find("knownFlags"));
  for (const auto& flag : strings(*seccomp.find("supportedFlags"))) {
    CAPTURE(flag);
    CHECK(std::ranges::find(known, flag) != known.end());
    const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, [&](oci::Spec& spec) {
      spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW", .flags = {flag}};
    }), bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
  }
}

TEST_CASE("features.md: a plain user gets the document too, and a program that is missing beside husk is not claimed") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.shell("mkdir " + bench.path("bin") + " && cp " + husk_binary() + " " + bench.path("bin") + " && chmod 755 " + bench.path("bin") + " " +
                      bench.path("")).status.code == 0);
  const auto done = bench.shell("exec setpriv --reuid 54321 --regid 54321 --clear-groups " + bench.path("bin") + "/husk features");
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  const auto json = oci::parse_json(done.out);
  REQUIRE_OK(json);
  CHECK(said(json.value(), "husk.checkpoint.enabled") == "false");
  CHECK_FALSE(*json.value().find("linux")->find("netDevices")->find("enabled")->as_boolean());
  CHECK_FALSE(*json.value().find("linux")->find("cgroup")->find("systemd")->as_boolean());
  CHECK(said(json.value(), "husk.host.mountExtensions.idmap") == said(document(bench), "husk.host.mountExtensions.idmap"));
}

TEST_CASE("features.md#featuresPotentiallyUnsafeConfigAnnotations: all annotations that reach beyond the container") {
  REQUIRE_E2E();
  Bench bench;
  const auto all = strings(*document(bench).find("potentiallyUnsafeConfigAnnotations"));
  for (const auto* key : {"org.criu.config", "org.systemd.property.", "run.oci.hooks.stdout", "run.oci.hooks.stderr", "run.oci.pidfd_receiver",
                          "run.oci.seccomp.receiver", "run.oci.keep_original_groups", "run.oci.mount_context_type"}) {
    CAPTURE(key);
    CHECK(std::ranges::find(all, key) != all.end());
  }
}
