#include <sys/wait.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// A rootfs of its own for tests that spoil it.
std::string copy_rootfs(Bench& bench) {
  const auto path = bench.path("rootfs");
  REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + path).status.code == 0);
  return path;
}

Change writable(const std::string& rootfs) {
  return [rootfs](oci::Spec& spec) { spec.root = oci::Root{.path = rootfs, .readonly = false}; };
}

std::string hash_of(const std::string& path) { return read_file(path, std::size_t{1} << 28U).value(); }  // a sanitizer's husk has 90 MB

}  // namespace

TEST_CASE("CVE-2024-21626: a cwd that leads to an inherited descriptor is refused") {
  REQUIRE_E2E();
  Bench bench;
  for (int fd = 3; fd <= 20; ++fd) {
    CAPTURE(fd);
    const auto cwd = format_text("/proc/self/fd/{}", fd);
    const auto bundle = bench.bundle({"/bin/pwd"}, [&](oci::Spec& spec) { spec.process->cwd = cwd; });
    // The caller leaks a host directory on that number.
    const auto done = bench.shell(format_text("exec {}</; husk run -b {} {}", fd > 9 ? 9 : fd, bundle, bench.id()));
    CHECK(done.status.code == 1);
    CHECK(done.out.empty());
  }
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("e")}).status.code == 0);
  const auto exec = bench.shell("exec 7</; husk exec --preserve-fds 5 --cwd /proc/self/fd/7 " + bench.id("e") + " pwd 3</dev/null 4</dev/null 5</dev/null 6</dev/null");
  CHECK(exec.status.code == 1);
  CHECK(exec.out.empty());
}

TEST_CASE("CVE-2024-21626: no descriptor of the runtime or of the caller reaches the program") {
  REQUIRE_E2E();
  Bench bench;
  const auto script = "ls -l /proc/self/fd | grep -v '/proc/[0-9]*/fd' | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p' | tr '\\n' ' '";
  const auto done = bench.shell("exec 5</etc/passwd; exec 8</; husk run -b " + bench.shell_bundle(script) + " " + bench.id());
  CHECK_MESSAGE(done.out == "0 1 2 ", (done.out + done.err));
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id("e")}).status.code == 0);
  const auto inside = bench.shell("exec 5</etc/passwd; husk exec " + bench.id("e") + " sh -c \"" + "ls -l /proc/self/fd | grep -v '/proc/[0-9]*/fd' | grep -c ' -> '\"");
  CHECK_MESSAGE(inside.out == "3\n", (inside.out + inside.err));
}

TEST_CASE("CVE-2022-27650: exec gives no inheritable capabilities") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}), bench.id()}).status.code == 0);
  const auto done = bench.husk({"exec", "--cap", "CAP_SYS_ADMIN", "-u", "1000", bench.id(), "sh", "-c", "grep -E 'CapInh|CapAmb|CapEff' /proc/self/status | cut -f2"});
  CHECK(done.out == "0000000000000000\n0000000000000000\n0000000000000000\n");
}

TEST_CASE("CVE-2019-5736: a program, link, script or loader that leads to the runtime's own binary is refused") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = hash_of(husk_binary());
  const auto rootfs = copy_rootfs(bench);
  REQUIRE_OK(sys::symlinkat("/proc/self/exe", AT_FDCWD, rootfs + "/bin/link"));
  REQUIRE_OK(write_atomically(AT_FDCWD, rootfs + "/bin/script", "#!/proc/self/exe\n", 0755));
  REQUIRE_OK(write_atomically(AT_FDCWD, rootfs + "/bin/deep", "#!/bin/script\n", 0755));
  REQUIRE_OK(write_atomically(AT_FDCWD, rootfs + "/bin/loaded", elf_with_loader("/proc/self/exe"), 0755));
  for (const auto* program : {"/proc/self/exe", "/bin/link", "/bin/script", "/bin/deep", "/bin/loaded"}) {
    CAPTURE(program);
    const auto done = bench.husk({"run", "-b", bench.bundle({program}, writable(rootfs)), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "own binary"), done.err);
  }
  REQUIRE(bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, writable(rootfs)), bench.id("e")}).status.code == 0);
  for (const auto* program : {"/proc/self/exe", "script"}) {
    const auto done = bench.husk({"exec", bench.id("e"), program});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "own binary"), done.err);
  }
  CHECK(hash_of(husk_binary()) == before);
}

TEST_CASE("CVE-2019-5736: a container with all capabilities that waits for exec cannot write the runtime") {
  REQUIRE_E2E();
  Bench bench;
  // The attacker: for each process it sees, open its exe for writing, again and again.
  const auto rootfs = copy_rootfs(bench);
  // Builtins only: a fork takes as long as the runtime is there to be met. What is neither the shell nor the
  // program of the exec is the runtime.
  const auto attack = "while :; do for p in /proc/[0-9]*; do read n 2>/dev/null < $p/comm || continue; case $n in sh|true) ;; *) "
                      "echo $n >> /seen; { printf X >> $p/exe && echo written >> /written; } 2>/dev/null;; esac; done; done";
  const auto bundle = bench.shell_bundle(attack, [&](oci::Spec& spec) {
    writable(rootfs)(spec);
    std::vector<std::string> all{"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_CHOWN", "CAP_SYS_ADMIN"};
    spec.process->capabilities = oci::Capabilities{.bounding = all, .effective = all, .permitted = all};
  });
  // A copy, so that a failure does not spoil the build.
  REQUIRE(bench.shell("cp " + husk_binary() + " " + bench.path("husk-copy")).status.code == 0);
  const auto before = hash_of(bench.path("husk-copy"));
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  const auto base = bench.path("husk-copy") + " --root " + bench.root() + " exec " + bench.id() + " true";
  // Until the attacker has met the runtime (else the attack was not one), and a hundred times at least.
  const auto loop = "for i in $(seq 5000); do " + base + " || exit 1; [ $i -lt 100 ] || [ ! -e " + rootfs + "/seen ] || exit 0; done; exit 2";
  CHECK(bench.shell(loop).status.code == 0);
  CHECK(!path_exists(rootfs + "/written"));
  CHECK(hash_of(bench.path("husk-copy")) == before);
}

TEST_CASE("CVE-2016-9962: husk is not dumpable, so that nobody without CAP_SYS_PTRACE looks into it") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE(bench.husk({"create", "-b", bench.bundle({"/bin/true"}), bench.id()}).status.code == 0);
  const auto pid = bench.pid(bench.id());
  // An undumpable process belongs to root, whatever its user. Source: man 5 proc.
  const auto seen = bench.shell("setpriv --reuid 1 --regid 1 --clear-groups ls -l /proc/" + std::to_string(pid) + "/exe");
  CHECK(seen.status.code != 0);
}

TEST_CASE("config-linux.md#maskedPaths and #readonlyPaths, config.md#root readonly") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle(
      "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/net/ipv4/ip_forward; echo $?; touch /x; echo $?; touch /proc/sysrq-trigger; echo b > /proc/sysrq-trigger; echo $?",
      [](oci::Spec& spec) {
        spec.linux.masked_paths = {"/proc/keys", "/sys/firmware", "/proc/nonexistent"};
        spec.linux.readonly_paths = {"/proc/sys", "/proc/sysrq-trigger"};
      });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.out == "0\n0\n1\n1\n1\n", (done.out + done.err));
}

TEST_CASE("the device list is enforced: only the default devices open") {
  REQUIRE_E2E();
  for (const auto hierarchy : kBoth) {
    Bench bench{hierarchy};
    const auto bundle = bench.shell_bundle(
        "for d in null zero full random urandom; do dd if=/dev/$d of=/dev/null bs=1 count=1 2>/dev/null || [ $d = null ] || echo bad $d; done; "
        "mknod /tmp/mem c 1 1 && dd if=/tmp/mem of=/dev/null bs=1 count=1 2>&1 | grep -c 'not permitted'",
        [](oci::Spec& spec) {
          spec.linux.resources.devices = {{.allow = false, .access = "rwm"}, {.allow = true, .type = 'c', .access = "m"}};
          spec.mounts.back().options = {};
          const std::vector<std::string> caps{"CAP_MKNOD"};
          spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps};
        });
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.out == "1\n", (done.out + done.err));
  }
}

TEST_CASE("mounts of the container never reach the host") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = read_file("/proc/self/mounts").value();
  const auto bundle = bench.shell_bundle("mount -t tmpfs none /tmp && mount -t tmpfs none /dev", [](oci::Spec& spec) {
    const std::vector<std::string> caps{"CAP_SYS_ADMIN"};
    spec.process->capabilities = oci::Capabilities{.bounding = caps, .effective = caps, .permitted = caps};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  CHECK(read_file("/proc/self/mounts").value() == before);
}
