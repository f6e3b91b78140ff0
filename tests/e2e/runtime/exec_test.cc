#include <signal.h>

#include "bench.h"
#include "oci-spec/parse_config.h"

using namespace husk;
using namespace husk::test;

namespace {

void run_sleeper(Bench& bench, const Change& change = {}) {
  const auto done = bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, change), bench.id()});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
}

}  // namespace

TEST_CASE("exec runs in the container's namespaces and cgroup, and returns the status") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    run_sleeper(bench);
    const auto compared = bench.husk({"exec", bench.id(), "sh", "-c",
                                      "for n in pid net ipc uts mnt cgroup; do [ \"$(readlink /proc/1/ns/$n)\" = \"$(readlink /proc/self/ns/$n)\" ] || echo $n; done; "
                                      "[ \"$(cat /proc/1/cgroup)\" = \"$(cat /proc/self/cgroup)\" ] || echo cgroup; exit 13"});
    CHECK(compared.status.code == 13);
    CHECK(compared.out.empty());
    CHECK(compared.err.empty());
    CHECK(bench.husk({"exec", bench.id(), "sh", "-c", "kill -9 $$"}).status.code == 137);
  }
}

TEST_CASE("exec flags: user, groups, cwd, env, capabilities, no-new-privs; a command's own dashes are its own") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench);
  const auto done = bench.husk({"exec", "-u", "1000:50", "-g", "7", "-g", "8", "--cwd", "/tmp", "-e", "A=x,y z", "--env", "B=2", "--no-new-privs",
                                bench.id(), "sh", "-c", "id -u; id -G; pwd; echo $A $B; grep NoNewPrivs /proc/self/status | cut -f2"});
  CHECK_MESSAGE(done.out == "1000\n50 7 8\n/tmp\nx,y z 2\n1\n", done.err);
  const auto caps = bench.husk({"exec", "-c", "CAP_NET_RAW", "--cap", "CAP_CHOWN", bench.id(), "sh", "-c", "grep Cap /proc/self/status | cut -f2"});
  CHECK(caps.out == "0000000000000000\n0000000020002421\n0000000020002421\n0000000020002421\n0000000000000000\n");
  CHECK(bench.husk({"exec", bench.id(), "echo", "-n", "--user", "-t"}).out == "--user -t");
}

TEST_CASE("exec --process FILE runs what the file says and nothing of the container's own process") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench, [](oci::Spec& spec) { spec.process->env.push_back("SECRET=1"); });
  const oci::Process process{.user = {.uid = 3, .gid = 4}, .args = {"/bin/sh", "-c", "id -u; echo \"[$SECRET]\"; pwd"}, .env = {"PATH=/bin"}, .cwd = "/etc"};
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("p.json"), oci::write_process(process)));
  const auto done = bench.husk({"exec", "--process", bench.path("p.json"), bench.id()});
  CHECK_MESSAGE(done.out == "3\n[]\n/etc\n", done.err);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("bad.json"), "{\"args\":[]}"));
  CHECK(bench.husk({"exec", "-p", bench.path("bad.json"), bench.id()}).status.code == 1);
}

TEST_CASE("exec --process refuses what it would have to ignore: a command and the flags for it") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("p.json"), oci::write_process({.args = {"/bin/true"}, .cwd = "/"})));
  using Words = std::vector<std::string>;
  for (const auto& flags : {Words{"-e", "A=1"}, Words{"-u", "1"}, Words{"--cwd", "/tmp"}, Words{"-c", "CAP_KILL"}, Words{"-g", "5"}}) {
    CAPTURE(flags.front());
    Words words{"exec", "--process", bench.path("p.json"), bench.id()};
    words.insert(words.begin() + 1, flags.begin(), flags.end());
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "and --process exclude each other"), done.err);
  }
  CHECK(contains(bench.husk({"exec", "--process", bench.path("p.json"), bench.id(), "true"}).err, "a command and --process"));
  CHECK(bench.husk({"exec", "--no-new-privs", "--process", bench.path("p.json"), bench.id()}).status.code == 0);
}

TEST_CASE("exec warns of an oom score that only its own process asks for and that cannot be set") {
  REQUIRE_E2E();
  Bench bench;
  if (contains(read_file("/proc/self/status").value(), "CapEff:\t000001ffffffffff")) HUSK_SKIP("this machine grants CAP_SYS_RESOURCE");
  run_sleeper(bench);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("p.json"), oci::write_process({.args = {"/bin/true"}, .cwd = "/", .oom_score_adj = -998})));
  const auto done = bench.husk({"exec", "--process", bench.path("p.json"), bench.id()});
  CHECK(done.status.code == 0);
  CHECK_MESSAGE(contains(done.err, "warning: oomScoreAdj -998 is not set"), done.err);
  CHECK(bench.husk({"exec", bench.id(), "true"}).err.empty());
}

TEST_CASE("exec --detach returns after the start; the pid file is there and right") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench);
  const auto done = bench.husk({"exec", "--detach", "--pid-file", bench.path("pid"), bench.id(), "sleep", "777"});
  CHECK(done.status.code == 0);
  const auto pid = read_file(bench.path("pid")).value();
  CHECK(contains(read_file("/proc/" + pid + "/cmdline").value(), "777"));
  CHECK(contains(bench.husk({"ps", "-f", "json", bench.id()}).out, pid));
  const auto failed = bench.husk({"exec", "-d", "--pid-file", bench.path("none"), bench.id(), "nosuch"});
  CHECK(failed.status.code == 1);
  CHECK(contains(failed.err, "executable file not found in $PATH"));
  CHECK(!path_exists(bench.path("none")));
}

TEST_CASE("exec in the foreground forwards signals and keeps stdin, stdout and stderr apart") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench);
  const auto piped = bench.shell("echo in | husk exec " + bench.id() + " sh -c 'cat; echo err >&2'");
  CHECK(piped.out == "in\n");
  CHECK(piped.err == "err\n");
  auto out = sys::pipe2();
  REQUIRE_OK(out);
  auto child = bench.start({"exec", bench.id(), "sh", "-c", "trap 'exit 9' USR1; echo up; while :; do sleep 0.01; done"},
                           {{.from = out.value().write_end.get(), .target = 1}});
  std::array<char, 3> up{};
  REQUIRE_OK(sys::read_some(out.value().read_end.get(), up));
  REQUIRE_OK(child.signal(SIGUSR1));
  CHECK(child.wait().value().code == 9);
}

TEST_CASE("exec --ignore-paused waits in the paused container and runs when it is resumed") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    run_sleeper(bench);
    REQUIRE(bench.husk({"pause", bench.id()}).status.code == 0);
    auto child = bench.start({"exec", "--ignore-paused", bench.id(), "sh", "-c", "exit 5"}, {});
    // Its child is there, and frozen with the container.
    const auto children = "/proc/" + std::to_string(child.pid()) + "/task/" + std::to_string(child.pid()) + "/children";
    CHECK(bench.shell("n=0; until grep -q . " + children + "; do n=$((n+1)); [ $n -lt 5000 ] || exit 1; done").status.code == 0);
    CHECK(bench.status(bench.id()) == "paused");
    REQUIRE(bench.husk({"resume", bench.id()}).status.code == 0);
    CHECK(child.wait().value().code == 5);
  }
}

TEST_CASE("exec works in a created container") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
    const auto inside = bench.husk({"exec", bench.id(), "true"});
    CHECK_MESSAGE(inside.status.code == 0, inside.err);
    CHECK(bench.status(bench.id()) == "created");
    CHECK(bench.husk({"start", bench.id()}).status.code == 0);
  }
}

TEST_CASE("runc 5403: exec --cgroup stays below the container's cgroup") {
  REQUIRE_E2E();
  Bench bench{Hierarchy::unified};
  run_sleeper(bench);
  for (const auto* path : {"..", "../..", "a/../../b", "/../x", "nothing"}) {
    CAPTURE(path);
    const auto done = bench.husk({"exec", "--cgroup", path, bench.id(), "true"});
    CHECK(done.status.code == 1);
    CHECK(contains(done.err, "--cgroup"));
  }
  const auto group = *bench.state(bench.id()).find("cgroupPath")->as_string();
  bench.shell("unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && mkdir /sys/fs/cgroup" + group + "/sub'");
  const auto below = bench.husk({"exec", "--cgroup", "/sub", bench.id(), "cat", "/proc/self/cgroup"});
  CHECK_MESSAGE(contains(below.out, "/sub\n"), below.err);
}

TEST_CASE("exec --cgroup in version 1: each controller has its own place, and nothing is entered on an error") {
  REQUIRE_E2E();
  if (!path_exists("/sys/fs/cgroup/memory/tasks") || !path_exists("/sys/fs/cgroup/pids/tasks"))
    HUSK_SKIP("needs the memory and pids controllers of cgroup v1");
  Bench bench;
  run_sleeper(bench);
  const auto group = *bench.state(bench.id()).find("cgroupPath")->as_string();
  for (const auto* place : {"memory", "pids", "memory-2"})
    bench.shell(format_text("mkdir -p /sys/fs/cgroup/{}{}/{}", std::string{place}.substr(0, std::string{place}.find('-')), group, place));
  bench.shell("mkdir -p /sys/fs/cgroup/memory" + group + "/shared /sys/fs/cgroup/pids" + group + "/shared");
  const auto places = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> words{"exec"};
    for (const auto& flag : flags) words.insert(words.end(), {"--cgroup", flag});
    words.insert(words.end(), {bench.id(), "/bin/sh", "-c", "cat /proc/self/cgroup; sleep 0"});
    return bench.husk(words);
  };
  const auto both = places({"memory:/memory-2", "pids:pids"});
  CHECK_MESSAGE(both.status.code == 0, both.err);
  CHECK_MESSAGE(contains(both.out, ":memory:/memory-2\n"), both.out);
  CHECK_MESSAGE(contains(both.out, ":pids:/pids\n"), both.out);
  CHECK_MESSAGE(contains(both.out, ":freezer:/\n"), both.out);
  const auto list = places({"memory,pids:shared"});
  CHECK_MESSAGE(contains(list.out, ":memory:/shared\n"), list.err);
  CHECK_MESSAGE(contains(list.out, ":pids:/shared\n"), list.err);
  CHECK(contains(places({"memory:/"}).out, ":memory:/\n"));
  struct Row {
    std::vector<std::string> flags;
    std::string text;
  };
  for (const auto& row : {Row{{"shared"}, "memory,pids:PATH"}, Row{{"memory:.."}, "\"..\""}, Row{{"memory:shared/../../x"}, "--cgroup"},
                          Row{{"nosuch:shared"}, "no controller \"nosuch\""}, Row{{"unified:x"}, "no controller \"unified\""},
                          Row{{"memory:nothing"}, "No such file"}, Row{{"memory:"}, "the path is missing"}, Row{{""}, "the path is missing"},
                          Row{{",memory:x"}, "name is empty"}, Row{{"memory:shared", "pids,memory:shared"}, "named twice"},
                          Row{{"shared", "memory:shared"}, "each needs controllers"}}) {
    CAPTURE(row.text);
    const auto done = places(row.flags);
    CHECK(done.status.code == 1);
    CHECK(done.out.empty());
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
    CHECK(contains(done.err, "--cgroup"));
  }
}

TEST_CASE("exec applies the container's seccomp filter, and execCPUAffinity") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench, [](oci::Spec& spec) {
    spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW"};
    spec.linux.seccomp->syscalls = {{.names = {"mkdir", "mkdirat"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 1}};
    spec.process->exec_cpu_affinity = oci::ExecCpuAffinity{.initial = "0", .final = "0"};
  });
  const auto done = bench.husk({"exec", bench.id(), "sh", "-c", "grep -E '^Seccomp:|Cpus_allowed_list' /proc/self/status | cut -f2; mkdir /tmp/x"});
  CHECK(done.status.code == 1);
  CHECK(done.out == "2\n0\n");
}

TEST_CASE("a container made with --no-pivot has its root by chroot, and exec sees the same root") {
  REQUIRE_E2E();
  Bench bench;
  const auto run = bench.husk({"run", "-d", "--no-pivot", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()});
  REQUIRE_MESSAGE(run.status.code == 0, run.err);
  const auto done = bench.husk({"exec", bench.id(), "sh", "-c", "test -d /work && echo host; cat /etc/passwd | head -2 | tail -1; [ /proc/1/root/bin/sh -ef /bin/sh ] && echo same"});
  CHECK_MESSAGE(contains(done.out, "user:x:1000"), done.err);
  CHECK(!contains(done.out, "host"));
}

TEST_CASE("exec refuses what it cannot do, and bad values") {
  REQUIRE_E2E();
  Bench bench;
  run_sleeper(bench);
  struct Row {
    std::vector<std::string> flags;
    std::string text;
  };
  for (const auto& row : {Row{{"--user", "1:"}, "--user"}, Row{{"-u", "abc"}, "--user"}, Row{{"-u", "4294967295"}, "--user"},
                          Row{{"--env", "X"}, "--env"}, Row{{"--apparmor", "p"}, "/process/apparmorProfile"}, Row{{"--process-label", "p"}, "/process/selinuxLabel"},
                          Row{{"-g", "x"}, "--additional-gids"}, Row{{"--preserve-fds", "-1"}, "preserve-fds"}, Row{{"--cwd", "relative"}, "cwd"},
                          Row{{"--console-socket", "/x"}, "console socket"}, Row{{"-d", "-t"}, "cannot allocate tty"}}) {
    CAPTURE(row.text);
    auto words = std::vector<std::string>{"exec"};
    words.insert(words.end(), row.flags.begin(), row.flags.end());
    words.insert(words.end(), {bench.id(), "id"});
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    CHECK(done.out.empty());
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
  }
  CHECK(contains(bench.husk({"exec", bench.id()}).err, "requires an argument"));
}
