#include "cell.h"

using namespace husk;        // NOLINT: a test
using namespace husk::test;  // NOLINT

TEST_CASE("kill -9 of huskd: pod, containers, logs and an exit code of meanwhile are right for the next one") {
  NEED_CELL();
  Cell cell;
  auto config = cell.pod_config();
  (*config.mutable_annotations())["note"] = "kept \xc3\xa9 \"as it is\"";
  const auto pod = cell.pod(config);
  const auto address = cell.pod_status(pod).network().ip();
  const auto running = cell.start(pod, cell.container_config("running", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done"));
  const auto ending = cell.start(pod, cell.container_config("ending", "while [ ! -e /dev/shm/go ]; do sleep 0.02; done; exit 9"));
  const auto created = cell.create(pod, cell.container_config("created", "exit 3"));
  cell.kill_hard();
  // The monitor goes on without huskd. The pod's shared memory is a mount of the cell.
  const auto shm = cell.state() + "/pods/" + pod + "/shm/go";
  CHECK(cell.inside({"/bin/busybox", "touch", shm}).status.success());
  const auto exit_record = cell.state() + "/pods/" + pod + "/containers/" + ending + "/exit.json";
  for (int i = 0; i < 500 && !path_exists(exit_record); ++i) (void)::usleep(10'000);
  CHECK(path_exists(exit_record));
  cell.start();

  const auto status = cell.pod_status(pod);
  CHECK(status.state() == v1::PodSandboxState::SANDBOX_READY);
  CHECK(status.network().ip() == address);
  CHECK(status.annotations().at("note") == "kept \xc3\xa9 \"as it is\"");
  CHECK(cell.container_status(running).state() == v1::ContainerState::CONTAINER_RUNNING);
  CHECK(cell.container_status(ending).state() == v1::ContainerState::CONTAINER_EXITED);
  CHECK(cell.container_status(ending).exit_code() == 9);
  CHECK(cell.container_status(ending).finished_at() >= cell.container_status(ending).started_at());
  CHECK(cell.container_status(created).state() == v1::ContainerState::CONTAINER_CREATED);
  REQUIRE_CALL(cell.start_container(created));
  CHECK(cell.wait_exited(created).exit_code() == 3);
  CHECK(cell.output(running, "echo exec works") == "exec works");
  // No line of the log is lost or doubled.
  REQUIRE_CALL(cell.stop_container(running, 0));
  const auto log = read_file(cell / "logs/web/running/0.log").value();
  int next = 0;
  for (const auto line : split(log, '\n')) {
    if (line.empty()) continue;
    CHECK(line.ends_with(format_text("stdout F line {}", next)));
    ++next;
  }
  CHECK(next > 3);
  // The same name and configuration still means the same pod.
  const auto again = cell.run_pod(config);
  REQUIRE_CALL(again);
  CHECK(again.value.pod_sandbox_id() == pod);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("huskd leaves on SIGTERM; pods stay; a second huskd on the same directories refuses to start") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("main", "exec sleep 1000"));
  const auto second = cell.inside({program("huskd"), "--root", cell.root(), "--state", cell / "state2", "--listen", "unix://" + (cell / "t.sock")});
  CHECK(second.status.code == 1);
  CHECK(second.err.find("another huskd uses") != std::string::npos);
  cell.stop();
  CHECK_FALSE(sys::connect_unix(cell.socket(), SOCK_STREAM).has_value());
  cell.start();
  CHECK(cell.pod_status(pod).state() == v1::PodSandboxState::SANDBOX_READY);
  CHECK(cell.container_status(id).state() == v1::ContainerState::CONTAINER_RUNNING);
  const auto info = sys::fstatat(AT_FDCWD, cell.socket(), 0);
  REQUIRE_OK(info);
  CHECK((info.value().st_mode & 0777U) == 0600);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("the monitor of a pod dies: the pod is not ready, nothing of it runs on, and it can be removed") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("main", "exec sleep 1000"));
  const auto pid = read_file(cell.state() + "/pods/" + pod + "/monitor.pid");
  REQUIRE_OK(pid);
  CHECK(cell.inside({"/bin/busybox", "kill", "-9", std::string{trim(pid.value())}}).status.success());
  const auto status = cell.wait_exited(id);
  CHECK(status.exit_code() == 255);
  CHECK(status.reason() == "Unknown");
  CHECK(cell.pod_status(pod).state() == v1::PodSandboxState::SANDBOX_NOTREADY);
  REQUIRE_CALL(cell.stop_pod(pod));
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("huskd killed at any moment of RunPodSandbox and CreateContainer leaves nothing that the next one keeps") {
  NEED_CELL();
  Cell cell;
  for (int i = 0; i < 12; ++i) {
    CAPTURE(i);
    std::thread client{[&] {
      // The answers do not matter: huskd dies under them.
      const auto run = cell.run_pod(cell.pod_config(format_text("p{}", i)));
      if (run.ok()) (void)cell.create_container(run.value.pod_sandbox_id(), cell.container_config("main", "exec sleep 1000"));
    }};
    (void)::usleep(static_cast<useconds_t>(i) * 11'000);
    cell.kill_hard();
    client.join();
    cell.start();
    // What was recorded can be removed; what was not is gone.
    const auto pods = cell.call(&Cell::Runtime::ListPodSandbox, v1::ListPodSandboxRequest{});
    REQUIRE_CALL(pods);
    for (const auto& pod : pods.value.items()) CHECK_CALL(cell.remove_pod(pod.id()));
    CHECK(cell.leftovers() == "");
  }
}

TEST_CASE("after a reboot: pods are not ready, containers ended, and everything can be removed") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("main", "exec sleep 1000"));
  cell.kill_hard();
  cell.reboot();
  cell.start();
  CHECK(cell.pod_status(pod).state() == v1::PodSandboxState::SANDBOX_NOTREADY);
  CHECK(cell.container_status(id).exit_code() == 255);
  CHECK_CALL(cell.stop_pod(pod));
  CHECK_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
  const auto next = cell.pod(cell.pod_config());
  CHECK_CALL(cell.remove_pod(next));
  CHECK(cell.leftovers() == "");
}
