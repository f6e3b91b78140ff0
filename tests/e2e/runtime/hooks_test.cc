#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

// A hook that appends one line to a file of the host: kind, status, id and pid from the state on stdin.
oci::Hook note(const std::string& kind, const std::string& file) {
  return {.path = "/bin/sh",
          .args = {"sh", "-c",
                   "s=$(cat); echo \"" + kind + " $(echo \"$s\" | sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') lines=$(echo \"$s\" | wc -l) X=$X H=$HOME\" >> " + file},
          .env = {"PATH=/usr/bin:/bin", "X=1"}};
}

oci::Hook failing() { return {.path = "/bin/sh", .args = {"sh", "-c", "echo why >&2; exit 7"}, .env = {"PATH=/usr/bin:/bin"}}; }

}  // namespace

TEST_CASE("config.md#posix-platform-hooks: six kinds, in order, with state on stdin and their own environment") {
  REQUIRE_E2E();
  Bench bench;
  const auto file = bench.path("notes");
  const auto bundle = bench.shell_bundle("echo program >> /notes/log", [&](oci::Spec& spec) {
    REQUIRE_OK(make_directories(bench.path("shared")));
    spec.mounts.push_back({.destination = "/tmp/x", .type = "tmpfs", .source = "tmpfs"});
    spec.hooks.prestart = {note("prestart", file)};
    spec.hooks.create_runtime = {note("createRuntime", file), note("createRuntime2", file)};
    spec.hooks.create_container = {note("createContainer", file)};
    spec.hooks.poststart = {note("poststart", file)};
    spec.hooks.poststop = {note("poststop", file)};
    // Inside the container: no host files there, so it writes to its own stdout through a bind.
    spec.mounts.push_back({.destination = "/tmp/notes", .type = "bind", .source = bench.path("shared"), .options = {"bind"}});
    spec.hooks.start_container = {{.path = "/bin/sh",
                                   .args = {"sh", "-c", "s=$(cat); echo \"startContainer $s\" > /tmp/notes/start"},
                                   .env = {"PATH=/bin"}}};
    spec.process->args = {"/bin/sh", "-c", "test -e /tmp/notes/start && echo program > /tmp/notes/program"};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK_MESSAGE(done.status.code == 0, done.err);
  CHECK(read_file(file).value() ==
        "prestart creating lines=1 X=1 H=\n"
        "createRuntime creating lines=1 X=1 H=\n"
        "createRuntime2 creating lines=1 X=1 H=\n"
        "createContainer creating lines=1 X=1 H=\n"
        "poststart running lines=1 X=1 H=\n"
        "poststop stopped lines=1 X=1 H=\n");
  const auto inside = read_file(bench.path("shared/start")).value();
  CHECK(contains(inside, "\"status\":\"created\""));
  CHECK(contains(inside, "\"pid\":1"));
  CHECK(read_file(bench.path("shared/program")).value() == "program\n");
}

TEST_CASE("a failing hook of create or start ends the container; the text names kind and index") {
  REQUIRE_E2E();
  struct Row {
    const char* kind;
    std::vector<oci::Hook> oci::Hooks::*member;
  };
  for (const auto& row : {Row{"prestart", &oci::Hooks::prestart}, Row{"createRuntime", &oci::Hooks::create_runtime},
                          Row{"createContainer", &oci::Hooks::create_container},
                          Row{"startContainer", &oci::Hooks::start_container}, Row{"poststart", &oci::Hooks::poststart}}) {
    CAPTURE(row.kind);
    Bench bench;
    const auto before = bench.world();
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
      spec.hooks.*row.member = {note("first", "/dev/null"), failing()};
      if (row.member == &oci::Hooks::start_container) (spec.hooks.*row.member)[0] = {.path = "/bin/true"};
      spec.hooks.poststop = {note("poststop", bench.path("stopped"))};
    });
    const auto done = bench.husk({"run", "-d", "--pid-file", bench.path("pid"), "-b", bundle, bench.id()});
    CHECK(done.status.code == 1);
    CHECK(!path_exists(bench.path("pid")));
    CHECK_MESSAGE(contains(done.err, std::string{"error running "} + row.kind + " hook #1"), done.err);
    CHECK_MESSAGE(contains(done.err, "why"), done.err);
    CHECK(contains(bench.husk({"state", bench.id()}).err, "does not exist"));
    CHECK(read_file(bench.path("stopped")).value() == "poststop stopped lines=1 X=1 H=\n");
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("runtime.md#lifecycle: a failing poststop hook is a warning, and the next one runs") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.poststop = {failing(), note("second", bench.path("log"))};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(done.status.code == 0);
  CHECK(contains(done.err, "warning: poststop hook #0"));
  CHECK(path_exists(bench.path("log")));
}

TEST_CASE("the end of a hook's output is shown, however much it printed") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/sh", .args = {"sh", "-c", "yes | head -c 3000000; echo the reason; exit 4"}, .env = {"PATH=/usr/bin:/bin"}}};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "exit status 4, output: "), done.err.substr(0, 500));
  CHECK_MESSAGE(contains(done.err, "the reason"), done.err.substr(0, 500));
}

TEST_CASE("a hook that takes too long is ended") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/sleep", .args = {"sleep", "100"}, .timeout_seconds = 1}};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(done.status.code == 1);
  CHECK(contains(done.err, "timed out after 1 s"));
}

TEST_CASE("createContainer runs in the container's namespaces with the host's files") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hostname = "inside";
    spec.hooks.create_container = {{.path = "/bin/sh", .args = {"sh", "-c", "hostname > " + bench.path("name") + "; pwd > " + bench.path("cwd")}, .env = {"PATH=/usr/bin:/bin"}}};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(read_file(bench.path("name")).value() == "inside\n");
  CHECK(read_file(bench.path("cwd")).value() == bundle + "\n");
}

TEST_CASE("a hook that leaves a daemon behind does not block, and does not inherit descriptors") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.hooks.create_runtime = {{.path = "/bin/sh", .args = {"sh", "-c", "ls -l /proc/self/fd > " + bench.path("fds") + "; sleep 2 &"}, .env = {"PATH=/usr/bin:/bin"}}};
  });
  const auto started = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(started.status.code == 0);
  const auto fds = read_file(bench.path("fds")).value();
  for (const auto* leaked : {"socket", "cgroup", "state.json", "rootfs", "/run"}) CHECK(!contains(fds, leaked));
}

TEST_CASE("an init that is killed in a startContainer hook has not started: start says so, and nothing is left") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto shared = bench.path("shared");
  REQUIRE_OK(make_directories(shared));
  const auto bundle = bench.bundle({"/bin/true"}, [&](oci::Spec& spec) {
    spec.mounts.push_back({.destination = "/tmp", .type = "bind", .source = shared, .options = {"bind"}});
    spec.hooks.start_container = {{.path = "/bin/sh", .args = {"sh", "-c", "echo > /tmp/in; exec sleep 1000"}, .env = {"PATH=/bin"}}};
  });
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  const auto pid = bench.pid(bench.id());
  const auto done = bench.shell("(while [ ! -e " + shared + "/in ]; do sleep 0.01; done; kill -9 " + std::to_string(pid) + ") & husk start " + bench.id());
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "ended before it ran the program"), done.err);
  CHECK(bench.husk({"state", bench.id()}).status.code == 1);
  CHECK(bench.world() == before);
}
