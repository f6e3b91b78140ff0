// Landlock: a caller that restricted itself, and a program that does so inside. Source: man 7 landlock.
#include "attack.h"

using namespace husk;
using namespace husk::test;

namespace {

bool has_landlock() {
  const auto done = run({.path = attacker_binary(), .arguments = {"attacker", "landlocked", "/bin/true"}});
  return done.has_value() && done.value().status.success();
}

#define REQUIRE_LANDLOCK() \
  REQUIRE_E2E();           \
  if (!has_landlock()) HUSK_SKIP("needs Landlock in the kernel")

}  // namespace

TEST_CASE("Landlock: a caller in a domain can mount nothing, which is said, and nothing is left") {
  REQUIRE_LANDLOCK();
  Bench bench;
  const auto bundle = bench.bundle({"true"});
  const auto before = bench.world();
  const auto landlocked = [&](const std::string& words) {
    return bench.shell("exec unshare --mount --propagation private " + attacker_binary() + " landlocked " + husk_binary() + " --root " + bench.root() + " " + words);
  };
  const auto done = landlocked("run -b " + bundle + " " + bench.id());
  CHECK(done.status.code == 1);
  CHECK(done.out.empty());
  CHECK_WORLD(bench, before);
  CHECK_MESSAGE(contains(done.err, "set up rootfs"), done.err);
  CHECK_MESSAGE(contains(done.err, "Operation not permitted (hint: a security module forbids mounts: did the caller restrict itself with Landlock?"), done.err);
  CHECK(landlocked("list -q").status.code == 0);
}

TEST_CASE("Landlock: a program restricts itself inside, without any right, and what it may not make is not made") {
  REQUIRE_LANDLOCK();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/attacker", "landlocked", "/bin/sh", "-c", "mkfifo /tmp/x 2>&1 && echo made; echo end >/tmp/file && cat /tmp/file"},
                                   [&](oci::Spec& spec) {
                                     with_rootfs(own_rootfs(bench))(spec);
                                     spec.process->capabilities.reset();
                                     spec.process->no_new_privileges = true;
                                   });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.out == "mkfifo: /tmp/x: Permission denied\nend\n", (done.out + done.err));
}
