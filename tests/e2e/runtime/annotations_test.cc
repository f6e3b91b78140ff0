// crun's annotations: each is honoured or refused by name. The table is in man/husk.1.
#include <sys/socket.h>
#include <sys/stat.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

Change annotated(const std::string& key, const std::string& value, const Change& more = {}) {
  return [=](oci::Spec& spec) {
    spec.annotations.emplace_back(key, value);
    if (more) more(spec);
  };
}

oci::Hook speaking() { return {.path = "/bin/sh", .args = {"sh", "-c", "cat >/dev/null; echo said; echo moaned >&2"}, .env = {"PATH=/usr/bin:/bin"}}; }

}  // namespace

TEST_CASE("run.oci.keep_original_groups: the caller's groups stay, for exec too; else they go") {
  REQUIRE_E2E();
  Bench bench;
  const auto groups = [&](const std::string& name, const Change& change) {
    const auto bundle = bench.shell_bundle("id -G; sleep 1000", change);
    const auto grouped = [](const std::string& words) { return "eval \"exec setpriv --groups 4711,4712 $HUSK_LINE " + words + "\""; };
    const auto done = bench.shell(grouped("run -d -b " + bundle + " " + bench.id(name) + " >" + bench.path(name)));
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    std::string first;
    CHECK(eventually([&] { return (first = read_file(bench.path(name)).value()).ends_with("\n"); }));
    const auto exec = bench.shell(grouped("exec " + bench.id(name) + " id -G"));
    REQUIRE_MESSAGE(exec.status.code == 0, exec.err);
    return first + exec.out;
  };
  CHECK(groups("kept", annotated("run.oci.keep_original_groups", "1", [](oci::Spec& spec) { spec.process->user.additional_gids = {9}; })) ==
        "0 4711 4712\n0 4711 4712\n");
  CHECK(groups("set", [](oci::Spec& spec) { spec.process->user.additional_gids = {9}; }) == "0 9\n0 9\n");
}

TEST_CASE("run.oci.seccomp_fail_unknown_syscall: a name that no machine has is an error; else it is passed over") {
  REQUIRE_E2E();
  Bench bench;
  const Change profile = [](oci::Spec& spec) {
    spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW",
                                      .syscalls = {{.names = {"mkdir", "no_such_call"}, .action = "SCMP_ACT_ERRNO"}}};
  };
  CHECK(bench.husk({"run", "-b", bench.bundle({"true"}, profile), bench.id("a")}).status.code == 0);
  const auto before = bench.world();
  const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, annotated("run.oci.seccomp_fail_unknown_syscall", "1", profile)), bench.id("b")});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "\"/linux/seccomp/syscalls/0/names\": unknown system call \"no_such_call\""), done.err);
  CHECK_WORLD(bench, before);
}

TEST_CASE("run.oci.pidfd_receiver: the pidfd of the container goes there") {
  REQUIRE_E2E();
  Bench bench;
  const auto socket = bench.path("receiver");
  const auto listener = sys::listen_unix(socket, SOCK_STREAM, 4, 0600);
  REQUIRE_OK(listener);
  REQUIRE(bench.husk({"run", "-b", bench.bundle({"true"}, annotated("run.oci.pidfd_receiver", socket)), bench.id()}).status.code == 0);
  const auto connection = sys::accept(listener.value().get());
  REQUIRE_OK(connection);
  const auto message = sys::receive_message(connection.value().get(), 64);
  REQUIRE_OK(message);
  CHECK(message.value().fds.size() == 1);
}

TEST_CASE("run.oci.hooks.stdout and .stderr: what hooks print is appended to files of the host, also at the end") {
  REQUIRE_E2E();
  Bench bench;
  const auto out = bench.path("out");
  const auto err = bench.path("err");
  const auto bundle = bench.bundle({"true"}, [&](oci::Spec& spec) {
    spec.annotations = {{"run.oci.hooks.stdout", out}, {"run.oci.hooks.stderr", err}};
    spec.hooks.prestart = spec.hooks.create_runtime = spec.hooks.create_container = {speaking()};
    spec.hooks.start_container = {speaking()};  // inside: its paths are the image's
    spec.hooks.poststart = spec.hooks.poststop = {speaking()};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  CHECK(read_file(out).value() == "said\nsaid\nsaid\nsaid\nsaid\n");
  CHECK(read_file(err).value() == "moaned\nmoaned\nmoaned\nmoaned\nmoaned\n");
  const auto before = bench.world();
  const auto missing = bench.husk({"run", "-b", bench.bundle({"true"}, annotated("run.oci.hooks.stdout", "/nonexistent/file", [](oci::Spec& spec) {
    spec.hooks.create_runtime = {speaking()};
  })), bench.id("x")});
  CHECK(missing.status.code == 1);
  CHECK_MESSAGE(contains(missing.err, "annotation run.oci.hooks.stdout"), missing.err);
  CHECK_WORLD(bench, before);
}

TEST_CASE("annotations of crun that would make another container are refused by name; others are passed over") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  for (const auto* key : {"run.oci.handler", "run.oci.seccomp_bpf_data", "run.oci.seccomp.plugins"}) {
    CAPTURE(key);
    const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, annotated(key, "x")), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, format_text("annotation {} is not supported", key)), done.err);
  }
  for (const auto* key : {"run.oci.hooks.stdout", "run.oci.hooks.stderr", "run.oci.pidfd_receiver", "run.oci.mount_context_type"}) {
    CAPTURE(key);
    const auto done = bench.husk({"run", "-b", bench.bundle({"true"}, annotated(key, "relative")), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, format_text("annotation {}: ", key)), done.err);
  }
  CHECK_WORLD(bench, before);
  for (const auto* key : {"run.oci.systemd.subgroup", "run.oci.delegate-cgroup", "run.oci.systemd.force_cgroup_v1", "module.wasm.image", "com.example.x"}) {
    CAPTURE(key);
    CHECK(bench.husk({"run", "-b", bench.bundle({"true"}, annotated(key, "/x")), bench.id()}).status.code == 0);
  }
}
