#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

std::string run_for_output(const std::string& script, const Change& change = {}) {
  Bench bench;
  const auto done = bench.husk({"run", "-b", bench.shell_bundle(script, change), bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  return done.out;
}

}  // namespace

TEST_CASE("config.md#user: uid, gid, additional groups and umask") {
  REQUIRE_E2E();
  const auto out = run_for_output("id -u; id -g; id -G; umask; pwd; echo $HOME", [](oci::Spec& spec) {
    spec.process->user = {.uid = 1000, .gid = 50, .umask = 0027, .additional_gids = {7, 8}};
    spec.process->cwd = "/tmp";
  });
  CHECK(out == "1000\n50\n50 7 8\n0027\n/tmp\n/home\n");
}

TEST_CASE("CVE-2016-3697: a user named by a number in the image's passwd changes nothing") {
  REQUIRE_E2E();
  const auto out = run_for_output("id -u", [](oci::Spec& spec) { spec.process->user.uid = 4242; });
  CHECK(out == "4242\n");
}

TEST_CASE("config.md#linux-process: the five capability sets; none inheritable by itself") {
  REQUIRE_E2E();
  const auto out = run_for_output("grep Cap /proc/self/status | cut -f2", [](oci::Spec& spec) {
    const std::vector<std::string> caps{"CAP_CHOWN", "CAP_KILL"};
    spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps};
  });
  CHECK(out == "0000000000000000\n0000000000000021\n0000000000000021\n0000000000000021\n0000000000000000\n");
}

TEST_CASE("ambient capabilities reach a program without privileges") {
  REQUIRE_E2E();
  const auto out = run_for_output("grep Cap /proc/self/status | cut -f2", [](oci::Spec& spec) {
    const std::vector<std::string> caps{"CAP_CHOWN"};
    spec.process->user = {.uid = 1000, .gid = 1000};
    spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .inheritable = caps, .permitted = caps, .ambient = caps};
  });
  CHECK(out == "0000000000000001\n0000000000000001\n0000000000000001\n0000000000000001\n0000000000000001\n");
}

TEST_CASE("without capabilities the program has none, and an unknown or ungrantable one is a warning") {
  REQUIRE_E2E();
  CHECK(run_for_output("grep CapBnd /proc/self/status | cut -f2", [](oci::Spec& spec) { spec.process->capabilities.reset(); }) ==
        "0000000000000000\n");
  Bench bench;
  const auto done = bench.husk({"run", "-b", bench.bundle({"/bin/true"}, [](oci::Spec& spec) {
                                  spec.process->capabilities->ambient = {"CAP_KILL"};
                                }), bench.id()});
  CHECK(done.status.code == 0);
  CHECK(contains(done.err, "warning"));
  CHECK(contains(done.err, "CAP_KILL"));
}

TEST_CASE("config.md#process: noNewPrivileges, rlimits, oomScoreAdj, scheduler, personality") {
  REQUIRE_E2E();
  const auto out = run_for_output(
      "grep NoNewPrivs /proc/self/status | cut -f2; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat",
      [](oci::Spec& spec) {
        spec.process->no_new_privileges = true;
        spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 100, .hard = 200}};
        spec.process->oom_score_adj = 321;
        spec.process->scheduler = oci::Scheduler{.policy = "SCHED_OTHER", .nice = 7};
      });
  CHECK(out == "1\n100\n200\n321\n7\n");
  CHECK(run_for_output("uname -m 2>/dev/null || busybox uname -m", [](oci::Spec& spec) {
          spec.linux.personality = oci::Personality{.domain = "LINUX32"};
        }) == "i686\n");
}

TEST_CASE("config-linux.md#personality: each flag is in force in the program, and in one of exec") {
  REQUIRE_E2E();
  struct Row {
    std::vector<std::string> flags;
    std::string persona;  // linux/personality.h
  };
  for (const auto& row : {Row{{}, "00000000"}, Row{{"UNAME26"}, "00020000"}, Row{{"ADDR_NO_RANDOMIZE"}, "00040000"},
                          Row{{"MMAP_PAGE_ZERO"}, "00100000"}, Row{{"ADDR_COMPAT_LAYOUT"}, "00200000"},
                          Row{{"ADDR_LIMIT_32BIT"}, "00800000"}, Row{{"SHORT_INODE"}, "01000000"}, Row{{"WHOLE_SECONDS"}, "02000000"},
                          Row{{"STICKY_TIMEOUTS"}, "04000000"}, Row{{"STICKY_TIMEOUTS", "ADDR_NO_RANDOMIZE"}, "04040000"}}) {
    CAPTURE(row.persona);
    Bench bench;
    const auto bundle = bench.bundle({"/bin/sh", "-c", "cat /proc/self/personality > /tmp/persona; sleep 1000"}, [&row](oci::Spec& spec) {
      spec.linux.personality = oci::Personality{.domain = "LINUX", .flags = row.flags};
    });
    REQUIRE(bench.husk({"run", "--detach", "-b", bundle, bench.id()}).status.code == 0);
    const auto done = bench.husk({"exec", bench.id(), "/bin/sh", "-c",
                                  "until [ -s /tmp/persona ]; do :; done; cat /tmp/persona /proc/self/personality"});
    CHECK(done.out == row.persona + "\n" + row.persona + "\n");
  }
}

TEST_CASE("without CAP_SYS_RESOURCE a limit that cannot be raised and a lower oom score are one warning each") {
  REQUIRE_E2E();
  Bench bench;
  const auto caps = read_file("/proc/self/status").value();
  if (contains(caps, "CapEff:\t000001ffffffffff")) HUSK_SKIP("this machine grants CAP_SYS_RESOURCE");
  const auto done = bench.husk({"run", "-b", bench.bundle({"/bin/true"}, [](oci::Spec& spec) {
                                  spec.process->oom_score_adj = -999;
                                  spec.process->rlimits = {{.type = "RLIMIT_MEMLOCK", .soft = 1ULL << 50U, .hard = 1ULL << 50U}};
                                }), bench.id()});
  CHECK(done.status.code == 0);
  CHECK(contains(done.err, "warning: oomScoreAdj -999 is not set"));
  CHECK(contains(done.err, "warning: RLIMIT_MEMLOCK"));
}

TEST_CASE("config.md#process: a missing cwd is made; HOME is kept when it is given") {
  REQUIRE_E2E();
  CHECK(run_for_output("pwd; echo $HOME", [](oci::Spec& spec) {
          spec.process->cwd = "/tmp/new/dir";
          spec.process->env.push_back("HOME=/elsewhere");
        }) == "/tmp/new/dir\n/elsewhere\n");
}

TEST_CASE("a program that cannot run says why, in the texts that podman and the kubelet look for") {
  REQUIRE_E2E();
  struct Row {
    std::string program;
    std::string text;
  };
  for (const auto& row : {Row{"nosuch", "executable file not found in $PATH"}, Row{"/bin/nosuch", "no such file or directory"},
                          Row{"/etc/passwd", "permission denied"}, Row{"/etc", "permission denied"}}) {
    CAPTURE(row.program);
    Bench bench;
    const auto before = bench.world();
    const auto done = bench.husk({"create", "-b", bench.bundle({row.program}), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a script without its interpreter, a program of another machine or without its loader name the cause") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(make_directories(bench.path("programs")));
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("programs/script"), "#!/opt/none -x\n", 0755));
  auto elf = read_file("/bin/busybox").value();
  elf[18] = static_cast<char>(0xb7);  // e_machine: AArch64
  elf[19] = 0;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("programs/foreign"), elf, 0755));
  const auto with_programs = [&](oci::Spec& spec) {
    spec.mounts.push_back({.destination = "/tmp/p", .type = "bind", .source = bench.path("programs"), .options = {"bind"}});
  };
  const auto script = bench.husk({"run", "-b", bench.bundle({"/tmp/p/script"}, with_programs), bench.id()});
  CHECK_MESSAGE(contains(script.err, "interpreter \"/opt/none\" is missing"), script.err);
  // Created all the same: the kernel may know an emulator (binfmt_misc), as for images of other machines.
  const auto created = bench.husk({"create", "-b", bench.bundle({"/tmp/p/foreign"}, with_programs), bench.id()});
  CHECK_MESSAGE(created.status.code == 0, created.err);
  CHECK(contains(bench.husk({"start", bench.id()}).err, "ELF machine 183"));
  const auto foreign = bench.husk({"run", "-b", bench.bundle({"/tmp/p/foreign"}, with_programs), bench.id()});
  CHECK_MESSAGE(contains(foreign.err, "exec format error"), foreign.err);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("programs/glibc"), elf_with_loader("/lib64/ld-none.so.2"), 0755));
  const auto loaded = bench.husk({"create", "-b", bench.bundle({"/tmp/p/glibc"}, with_programs), bench.id()});
  CHECK(loaded.status.code == 1);
  CHECK_MESSAGE(contains(loaded.err, "no such file or directory (hint: its program loader \"/lib64/ld-none.so.2\" is missing"), loaded.err);
}

TEST_CASE("config-linux.md#seccomp: a filter is on, with and without no_new_privs, also one that allows exec only") {
  REQUIRE_E2E();
  for (const bool no_new_privs : {false, true}) {
    CAPTURE(no_new_privs);
    const auto out = run_for_output("grep -E '^Seccomp:|CapEff' /proc/self/status | cut -f2; mkdir /tmp/x 2>&1; true",
                                    [&](oci::Spec& spec) {
                                      spec.process->no_new_privileges = no_new_privs;
                                      spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW"};
                                      spec.linux.seccomp->syscalls = {{.names = {"mkdir", "mkdirat"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 78}};
                                    });
    CHECK_MESSAGE(contains(out, "0000000020000420\n2\n"), out);
    CHECK_MESSAGE(contains(out, "mkdir"), out);
  }
  // Nothing but what busybox true needs: the runtime makes no call of its own after the filter.
  Bench bench;
  const auto done = bench.husk({"run", "-b", bench.bundle({"/bin/true"}, [](oci::Spec& spec) {
    spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_KILL_PROCESS"};
    spec.linux.seccomp->syscalls = {{.names = {"execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
                                               "readlinkat", "readlink", "getrandom", "mprotect", "exit_group", "exit", "getuid", "prctl", "uname", "newfstatat", "mmap", "munmap", "setuid", "setgid", "getgid"},
                                     .action = "SCMP_ACT_ALLOW"}};
  }), bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
}

TEST_CASE("--preserve-fds and LISTEN_FDS: descriptors reach the program, others do not") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("three"), "3\n"));
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("four"), "4\n"));
  const auto bundle = bench.shell_bundle("cat <&3; cat <&4 2>&1; echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd | wc -l");
  const auto one = bench.shell("husk run --preserve-fds 1 -b " + bundle + " " + bench.id() + " 3<" + bench.path("three") + " 4<" + bench.path("four"));
  CHECK_MESSAGE(one.out.starts_with("3\n"), one.err);
  CHECK(!contains(one.out, "\n4\n"));
  const auto listen = bench.shell("LISTEN_FDS=2 husk run -b " + bundle + " " + bench.id() + " 3<" + bench.path("three") + " 4<" + bench.path("four"));
  CHECK_MESSAGE(listen.out.starts_with("3\n4\n2 1\n"), (listen.out + listen.err));
  const auto missing = bench.husk({"run", "--preserve-fds", "3", "-b", bundle, bench.id()});
  CHECK(missing.status.code == 1);
  CHECK(contains(missing.err, "--preserve-fds"));
}

TEST_CASE("the program has a session keyring named after the container; with --no-new-keyring it has the caller's") {
  REQUIRE_E2E();
  if (!path_exists("/proc/keys")) HUSK_SKIP("the kernel has no /proc/keys");
  Bench bench;
  const auto bundle = bench.shell_bundle("cat /proc/keys");
  const auto own = "_ses." + bench.id();
  const auto without = bench.husk({"run", "--no-new-keyring", "-b", bundle, bench.id()});
  CHECK(without.status.code == 0);
  CHECK_MESSAGE(!contains(without.out, own), without.out);  // first: the kernel takes its time to remove a keyring
  const auto with = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(contains(with.out, own + ": empty"), with.out);
  // exec goes into a session of the same name: its own, for keys do not cross from one process to the next.
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"sleep", "1000"}), bench.id()}).status.code == 0);
  const auto exec = bench.husk({"exec", bench.id(), "cat", "/proc/keys"});
  CHECK_MESSAGE(contains(exec.out, own), exec.out);
}
