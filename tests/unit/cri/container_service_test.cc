#include "fakes.h"

using namespace husk;        // NOLINT: a test
using namespace husk::cri;   // NOLINT
using namespace husk::cri::test;  // NOLINT

TEST_CASE("a container is created, started, stopped and removed, and nothing is left") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto id = bench.containers().create(pod, container_config());
  REQUIRE_OK(id);
  CHECK(bench.container(id.value())->state == ContainerState::created);
  CHECK(bench.container(id.value())->image_id == "sha256:abc");
  REQUIRE_OK(bench.containers().start(id.value()));
  CHECK(bench.container(id.value())->state == ContainerState::running);
  CHECK(bench.container(id.value())->started_at_ns == 1000);
  REQUIRE_OK(bench.containers().stop(id.value(), 2));
  CHECK(bench.container(id.value())->state == ContainerState::exited);
  CHECK(bench.container(id.value())->exit_code == 7);
  CHECK(bench.container(id.value())->reason == "Error");
  REQUIRE_OK(bench.containers().remove(id.value()));
  REQUIRE_OK(bench.pods().remove(pod));
  CHECK(bench.world.text() == "");
  CHECK(bench.files().empty());
}

TEST_CASE("CreateContainer: each step that fails takes back the steps before it") {
  for (const auto* step : {"images.prepare_container", "images.mount_image", "monitor.create"}) {
    CAPTURE(step);
    Bench bench;
    const auto pod = bench.pods().run(pod_config()).value();
    const auto before = bench.world.text();
    auto config = container_config();
    config.mounts = {{.container_path = "/data", .readonly = true, .image = "busybox"}};
    bench.world.failing = step;
    CHECK_FALSE(bench.containers().create(pod, config).has_value());
    CHECK(bench.world.text() == before);
    CHECK(bench.node().containers.list().empty());
    bench.world.failing.clear();
    const auto retry = bench.containers().create(pod, config);
    REQUIRE_OK(retry);
    REQUIRE_OK(bench.pods().remove(pod));
    CHECK(bench.world.text() == "");
    CHECK(bench.files().empty());
  }
}

TEST_CASE("CreateContainer: wrong requests and a full disk leave nothing behind") {
  struct Row {
    const char* what;
    std::function<void(ContainerConfig&)> spoil;
    Kind kind;
  };
  const std::vector<Row> rows{
      {"no name", [](ContainerConfig& c) { c.name.clear(); }, Kind::invalid},
      {"no image", [](ContainerConfig& c) { c.image.clear(); }, Kind::invalid},
      {"unknown image", [](ContainerConfig& c) { c.image = "nginx"; }, Kind::not_found},
      {"unknown user", [](ContainerConfig& c) { c.run_as_username = "nobody-here"; }, Kind::invalid},
      {"group without user", [](ContainerConfig& c) { c.run_as_group = 5; }, Kind::invalid},
      {"relative mount target", [](ContainerConfig& c) { c.mounts = {{.container_path = "data", .host_path = "/tmp"}}; }, Kind::invalid},
      {"relative mount source", [](ContainerConfig& c) { c.mounts = {{.container_path = "/data", .host_path = "tmp"}}; }, Kind::invalid},
      {"writable image volume", [](ContainerConfig& c) { c.mounts = {{.container_path = "/data", .image = "busybox"}}; }, Kind::invalid},
      {"unknown image volume", [](ContainerConfig& c) { c.mounts = {{.container_path = "/data", .readonly = true, .image = "nginx"}}; }, Kind::not_found},
      {"missing sub path", [](ContainerConfig& c) { c.mounts = {{.container_path = "/data", .readonly = true, .image = "busybox", .image_sub_path = "nowhere"}}; }, Kind::not_found},
      {"recursive read-only, writable", [](ContainerConfig& c) { c.mounts = {{.container_path = "/data", .host_path = "/tmp", .recursive_read_only = true}}; }, Kind::invalid},
      {"log path leads out", [](ContainerConfig& c) { c.log_path = "../../etc/cron.d/x"; }, Kind::invalid},
      {"absolute log path", [](ContainerConfig& c) { c.log_path = "/etc/cron.d/x"; }, Kind::invalid},
      {"unknown capability", [](ContainerConfig& c) { c.capabilities.add = {"FLY"}; }, Kind::invalid},
      {"privileged in a plain pod", [](ContainerConfig& c) { c.privileged = true; }, Kind::invalid},
      {"host pid in a plain pod", [](ContainerConfig& c) { c.namespaces.pid = NamespaceMode::node; }, Kind::invalid},
      {"target that is not there", [](ContainerConfig& c) { c.namespaces.pid = NamespaceMode::target; c.namespaces.target_id = "beef"; }, Kind::not_found},
      {"device with dots", [](ContainerConfig& c) { c.devices = {{.container_path = "/dev/x", .host_path = "/dev/../etc/shadow"}}; }, Kind::invalid},
      {"device permissions", [](ContainerConfig& c) { c.devices = {{.container_path = "/dev/x", .host_path = "/dev/x", .permissions = "rwx"}}; }, Kind::invalid},
      {"relative seccomp profile", [](ContainerConfig& c) { c.seccomp = SecurityProfile{.type = ProfileType::localhost, .localhost_ref = "p.json"}; }, Kind::invalid},
      {"missing seccomp profile", [](ContainerConfig& c) { c.seccomp = SecurityProfile{.type = ProfileType::localhost, .localhost_ref = "/none/p.json"}; }, Kind::not_found},
      {"apparmor on a kernel without", [](ContainerConfig& c) { c.apparmor = SecurityProfile{.type = ProfileType::localhost, .localhost_ref = "p"}; }, Kind::unsupported},
      {"selinux on a kernel without", [](ContainerConfig& c) { c.selinux.level = "s0:c1"; }, Kind::unsupported},
  };
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto before = bench.world.text();
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto config = container_config();
    row.spoil(config);
    const auto id = bench.containers().create(pod, config);
    REQUIRE_FALSE(id.has_value());
    CAPTURE(id.error().to_string());
    CHECK(id.error().kind() == row.kind);
    CHECK(bench.world.text() == before);
  }
  REQUIRE_OK(remove_tree(AT_FDCWD, bench.directory / "root/records/containers"));
  CHECK_FALSE(bench.containers().create(pod, container_config()).has_value());
  CHECK(bench.world.text() == before);
  CHECK(bench.node().containers.list().empty());
}

TEST_CASE("a seccomp profile that is a FIFO is refused at once: nobody waits for a writer") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  auto config = container_config();
  const std::string fifo = bench.directory / "fifo";
  REQUIRE_OK(sys::mkfifoat(AT_FDCWD, fifo, 0600));
  config.seccomp = SecurityProfile{.type = ProfileType::localhost, .localhost_ref = fifo};
  const auto id = bench.containers().create(pod, config);
  REQUIRE_FALSE(id.has_value());
  CHECK_MESSAGE(id.error().to_string().find("is no regular file") != std::string::npos, id.error().to_string());
}

TEST_CASE("a repeated CreateContainer gives the container that is not started yet") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto first = bench.containers().create(pod, container_config()).value();
  CHECK(bench.containers().create(pod, container_config()).value() == first);
  auto other = container_config();
  other.args = {"-p", "81"};
  CHECK(bench.containers().create(pod, other).error().kind() == Kind::exists);
  REQUIRE_OK(bench.containers().start(first));
  CHECK(bench.containers().create(pod, container_config()).error().kind() == Kind::exists);
  other.attempt = 1;
  CHECK_OK(bench.containers().create(pod, other));
}

TEST_CASE("StartContainer: a failure ends the container with code 128, StartError and the reason") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto id = bench.containers().create(pod, container_config()).value();
  bench.world.failing = "monitor.start";
  CHECK_FALSE(bench.containers().start(id).has_value());
  const auto record = bench.container(id);
  CHECK(record->state == ContainerState::exited);
  CHECK(record->exit_code == 128);
  CHECK(record->reason == "StartError");
  CHECK(record->message.find("monitor.start was made to fail") != std::string::npos);
  CHECK(record->finished_at_ns != 0);
  bench.world.failing.clear();
  // Its first process was waiting for the start, or ran in spite of all: it must not stay.
  CHECK(bench.world.ended.contains(id));
  CHECK(bench.containers().start(id).error().kind() == Kind::wrong_state);
  CHECK_OK(bench.containers().remove(id));
}

TEST_CASE("CreateContainer: a creation that goes on after its time-out is ended, not left behind") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto before = bench.world.text();
  bench.world.failing_as = {{"monitor.create", Kind::timed_out}, {"monitor.remove", Kind::busy}};
  CHECK(bench.containers().create(pod, container_config()).error().kind() == Kind::timed_out);
  CHECK(bench.world.count("host.kill_creation") == 1);
  CHECK(bench.world.text() == before);
  // Any other failure is taken back by the monitor alone.
  bench.world.failing_as = {{"monitor.create", Kind::internal}};
  CHECK(bench.containers().create(pod, container_config()).error().kind() == Kind::internal);
  CHECK(bench.world.count("host.kill_creation") == 1);
}

TEST_CASE("StopContainer and RemoveContainer: unknown and repeated are success") {
  Bench bench;
  CHECK_OK(bench.containers().stop("0123", 1));
  CHECK_OK(bench.containers().remove("0123"));
  const auto pod = bench.pods().run(pod_config()).value();
  const auto id = bench.containers().create(pod, container_config()).value();
  REQUIRE_OK(bench.containers().start(id));
  CHECK_FALSE(bench.containers().stop(id, -1).has_value());
  CHECK_OK(bench.containers().stop(id, 0));
  CHECK_OK(bench.containers().stop(id, 0));
  CHECK(bench.world.count("monitor.stop") == 1);
  CHECK_OK(bench.containers().remove(id));
  CHECK_OK(bench.containers().remove(id));
}

TEST_CASE("StopPodSandbox ends every container; their exit codes stay readable") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto started = bench.containers().create(pod, container_config("a")).value();
  const auto created = bench.containers().create(pod, container_config("b")).value();
  REQUIRE_OK(bench.containers().start(started));
  REQUIRE_OK(bench.pods().stop(pod));
  CHECK(bench.container(started)->state == ContainerState::exited);
  CHECK(bench.container(started)->exit_code == 7);
  CHECK(bench.container(created)->state == ContainerState::exited);
  CHECK(bench.containers().create(pod, container_config("c")).error().kind() == Kind::wrong_state);
  REQUIRE_OK(bench.pods().remove(pod));
  CHECK(bench.world.text() == "");
  CHECK(bench.files().empty());
}

TEST_CASE("ends told by the monitor: OOMKilled, Completed, Error; the first one counts") {
  struct Row {
    int code;
    bool oom;
    const char* reason;
  };
  for (const auto& row : {Row{137, true, "OOMKilled"}, Row{0, false, "Completed"}, Row{1, false, "Error"}}) {
    Bench bench;
    const auto pod = bench.pods().run(pod_config()).value();
    const auto id = bench.containers().create(pod, container_config()).value();
    REQUIRE_OK(bench.containers().start(id));
    bench.watch().container_exited(pod, {.id = id, .exit_code = row.code, .started_at_ns = 5, .finished_at_ns = 9, .oom_killed = row.oom});
    bench.watch().container_exited(pod, {.id = id, .exit_code = 99});
    const auto record = bench.container(id);
    CHECK(record->exit_code == row.code);
    CHECK(record->reason == row.reason);
    CHECK(record->started_at_ns == 5);
    CHECK(record->finished_at_ns == 9);
  }
}

TEST_CASE("exec: both streams and the exit code; only in a running container") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto id = bench.containers().create(pod, container_config()).value();
  CHECK(bench.containers().exec(id, {"true"}, 0).error().kind() == Kind::wrong_state);
  REQUIRE_OK(bench.containers().start(id));
  CHECK(bench.containers().exec(id, {}, 0).error().kind() == Kind::invalid);
  CHECK(bench.containers().exec(id, {"true"}, -1).error().kind() == Kind::invalid);
  const auto result = bench.containers().exec(id, {"true"}, 1);
  REQUIRE_OK(result);
  CHECK(result.value().out == "out");
  CHECK(result.value().err == "err");
  CHECK(result.value().exit_code == 3);
}

TEST_CASE("UpdateContainerResources keeps what it does not name") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  auto config = container_config();
  config.resources.cpu_shares = 512;
  config.resources.memory_limit = 1 << 20;
  const auto id = bench.containers().create(pod, config).value();
  Resources changes;
  changes.memory_limit = 2 << 20;
  REQUIRE_OK(bench.containers().update_resources(id, changes));
  CHECK(bench.container(id)->resources.memory_limit == 2 << 20);
  CHECK(bench.container(id)->resources.cpu_shares == 512);
  bench.world.failing = "host.update_cgroup";
  changes.memory_limit = 3 << 20;
  CHECK_FALSE(bench.containers().update_resources(id, changes).has_value());
  CHECK(bench.container(id)->resources.memory_limit == 2 << 20);
}
