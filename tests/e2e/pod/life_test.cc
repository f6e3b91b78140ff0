#include "cell.h"

using namespace husk;        // NOLINT: a test
using namespace husk::test;  // NOLINT

TEST_CASE("Version, Status, RuntimeConfig: what kubelet asks first") {
  NEED_CELL();
  Cell cell;
  const auto version = cell.call(&Cell::Runtime::Version, v1::VersionRequest{});
  REQUIRE_CALL(version);
  CHECK(version.value.version() == "0.1.0");
  CHECK(version.value.runtime_name() == "husk");
  CHECK(version.value.runtime_api_version() == "v1");
  v1::StatusRequest request;
  request.set_verbose(true);
  const auto status = cell.call(&Cell::Runtime::Status, request);
  REQUIRE_CALL(status);
  std::set<std::string> ready;
  for (const auto& condition : status.value.status().conditions())
    if (condition.status()) ready.insert(condition.type());
  CHECK(ready == std::set<std::string>{"NetworkReady", "RuntimeReady"});
  CHECK(status.value.runtime_handlers_size() == 2);
  CHECK(status.value.features().supplemental_groups_policy());
  CHECK(status.value.info().at("config").find(cell.root()) != std::string::npos);
  const auto config = cell.call(&Cell::Runtime::RuntimeConfig, v1::RuntimeConfigRequest{});
  REQUIRE_CALL(config);
  CHECK(config.value.linux().cgroup_driver() == v1::CgroupDriver::CGROUPFS);
  CHECK_CALL(cell.call(&Cell::Runtime::UpdateRuntimeConfig, v1::UpdateRuntimeConfigRequest{}));
}

TEST_CASE("a pod of two containers shares network, IPC and hostname; at the end nothing is left") {
  NEED_CELL();
  Cell cell;
  auto config = cell.pod_config();
  auto* port = config.add_port_mappings();
  port->set_container_port(8080);
  port->set_host_port(18080);
  const auto pod = cell.pod(config);
  const auto status = cell.pod_status(pod);
  CHECK(status.state() == v1::PodSandboxState::SANDBOX_READY);
  CHECK(status.created_at() > 0);
  CHECK_FALSE(status.network().ip().empty());
  CHECK(status.labels().at("app") == "web");

  const auto server = cell.start(pod, cell.container_config("server", "mkdir -p /srv && echo the-page > /srv/index.html && exec httpd -f -p 8080 -h /srv"));
  const auto sidecar = cell.start(pod, cell.container_config("sidecar", "echo ready; exec sleep 1000"));
  CHECK(cell.output(sidecar, "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://127.0.0.1:8080/ && exit; sleep 0.05; done") == "the-page");
  CHECK(cell.output(sidecar, "hostname") == "web");
  CHECK(cell.output(server, "cat /etc/hostname") == "web");
  for (const auto* name : {"net", "ipc", "uts"})
    CHECK(cell.output(server, format_text("readlink /proc/self/ns/{}", name)) == cell.output(sidecar, format_text("readlink /proc/self/ns/{}", name)));
  for (const auto* name : {"pid", "mnt"})
    CHECK(cell.output(server, format_text("readlink /proc/self/ns/{}", name)) != cell.output(sidecar, format_text("readlink /proc/self/ns/{}", name)));
  CHECK(cell.output(server, "touch /dev/shm/common; stat -c %a /dev/shm") == "1777");
  CHECK(cell.output(sidecar, "ls /dev/shm") == "common");
  CHECK(cell.output(sidecar, "cat /etc/hosts").find(status.network().ip() + "\tweb") != std::string::npos);
  // From the host: the pod's address and the published port.
  for (const auto& url : {"http://" + status.network().ip() + ":8080/", std::string{"http://127.0.0.1:18080/"}}) {
    // env -i: a proxy of this machine is none in the cell.
    const auto page = cell.inside({"/usr/bin/env", "-i", "/bin/busybox", "wget", "-q", "-O", "-", url});
    CHECK_MESSAGE(page.out == "the-page\n", url, " code ", page.status.code, ": ", page.err);
  }
  const auto log = read_file(cell / "logs/web/sidecar/0.log");
  REQUIRE_OK(log);
  CHECK(log.value().ends_with("stdout F ready\n"));

  REQUIRE_CALL(cell.stop_container(server));
  CHECK(cell.container_status(server).exit_code() == 137);  // PID 1 without a handler ignores SIGTERM
  REQUIRE_CALL(cell.remove_container(server));
  CHECK(cell.find_container(server).status.error_code() == grpc::StatusCode::NOT_FOUND);
  REQUIRE_CALL(cell.stop_pod(pod));
  CHECK(cell.pod_status(pod).state() == v1::PodSandboxState::SANDBOX_NOTREADY);
  CHECK(cell.container_status(sidecar).state() == v1::ContainerState::CONTAINER_EXITED);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("exit codes, reasons, times and logs of containers that end by themselves") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  struct Row {
    const char* name;
    const char* script;
    int code;
    const char* reason;
  };
  for (const auto& row : {Row{"zero", "echo out; echo err >&2", 0, "Completed"}, Row{"seven", "exit 7", 7, "Error"}, Row{"most", "exit 255", 255, "Error"}}) {
    CAPTURE(row.name);
    const auto id = cell.start(pod, cell.container_config(row.name, row.script));
    const auto status = cell.wait_exited(id);
    CHECK(status.exit_code() == row.code);
    CHECK(status.reason() == row.reason);
    CHECK(status.created_at() <= status.started_at());
    CHECK(status.started_at() <= status.finished_at());
    CHECK(status.log_path() == cell / ("logs/web/" + std::string{row.name} + "/0.log"));
  }
  const auto log = read_file(cell / "logs/web/zero/0.log").value();
  CHECK(log.find(" stdout F out\n") != std::string::npos);
  CHECK(log.find(" stderr F err\n") != std::string::npos);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("a program that does not exist: StartContainer fails, the container ends with 128 and StartError") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  auto config = cell.container_config("bad", "");
  config.clear_command();
  config.add_command("/no/such/program");
  const auto created = cell.create_container(pod, config);
  if (created.ok()) {
    const auto id = created.value.container_id();
    const auto started = cell.start_container(id);
    CHECK_FALSE(started.ok());
    CHECK(started.status.error_message().find("/no/such/program") != std::string::npos);
    const auto status = cell.container_status(id);
    CHECK(status.state() == v1::ContainerState::CONTAINER_EXITED);
    CHECK(status.exit_code() == 128);
    CHECK(status.reason() == "StartError");
  } else {
    CHECK(created.status.error_message().find("/no/such/program") != std::string::npos);
  }
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("ExecSync: streams, exit code, time-out kills only the command, unknown and stopped containers") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("main", "exec sleep 1000"));
  auto answer = cell.exec(id, {"/bin/sh", "-c", "echo out; echo err >&2; exit 3"});
  REQUIRE_CALL(answer);
  CHECK(answer.value.stdout() == "out\n");
  CHECK(answer.value.stderr() == "err\n");
  CHECK(answer.value.exit_code() == 3);
  const auto before = now_monotonic_ns();
  answer = cell.exec(id, {"/bin/sleep", "77"}, 1);
  CHECK(answer.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(now_monotonic_ns() - before < 60'000'000'000);  // the command sleeps for 77 s
  CHECK(cell.container_status(id).state() == v1::ContainerState::CONTAINER_RUNNING);
  CHECK(cell.output(id, "ps | grep -c '[s]leep 77' || true") == "0");
  CHECK_FALSE(cell.exec(id, {"/no/such"}).ok());
  CHECK(cell.exec("feed", {"true"}).status.error_code() == grpc::StatusCode::NOT_FOUND);
  // 40 MB of output: bounded, drained, the exit code is right (CVE-2022-1708).
  answer = cell.exec(id, {"/bin/sh", "-c", "yes | dd bs=65536 count=640 2>/dev/null; exit 5"}, 60);
  REQUIRE_CALL(answer);
  CHECK(answer.value.exit_code() == 5);
  CHECK(answer.value.stdout().size() > 1U << 20U);
  CHECK(answer.value.stdout().size() < 16U << 20U);
  REQUIRE_CALL(cell.stop_container(id, 0));
  CHECK(cell.exec(id, {"true"}).status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("stop: signal, then SIGKILL after the time-out; a second call shortens the wait") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto deaf = cell.start(pod, cell.container_config("deaf", "trap '' TERM; while :; do sleep 1; done"));
  REQUIRE_CALL(cell.exec(deaf, {"/bin/true"}));
  auto before = now_monotonic_ns();
  REQUIRE_CALL(cell.stop_container(deaf, 1));
  CHECK(now_monotonic_ns() - before > 900'000'000);
    CHECK(cell.container_status(deaf).exit_code() == 137);
  CHECK_CALL(cell.stop_container(deaf, 1));

  const auto second = cell.start(pod, cell.container_config("second", "trap '' TERM; while :; do sleep 1; done"));
  REQUIRE_CALL(cell.exec(second, {"/bin/true"}));
  before = now_monotonic_ns();
  std::thread slow{[&] { CHECK_CALL(cell.stop_container(second, 30)); }};
  (void)::usleep(100'000);
  CHECK_CALL(cell.stop_container(second, 0));
  slow.join();
  CHECK(now_monotonic_ns() - before < 25'000'000'000);  // the first call waits for 30 s
  auto config = cell.container_config("int", "trap 'exit 42' INT; while :; do sleep 0.05; done");
  config.set_stop_signal(v1::Signal::SIGNAL_SIGINT);
  const auto interrupted = cell.start(pod, config);
  REQUIRE_CALL(cell.exec(interrupted, {"/bin/true"}));
  (void)::usleep(100'000);  // sh sets its trap
  REQUIRE_CALL(cell.stop_container(interrupted, 5));
  CHECK(cell.container_status(interrupted).exit_code() == 42);
  CHECK(cell.container_status(interrupted).stop_signal() == v1::Signal::SIGNAL_SIGINT);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("stats: CPU, memory, network, writable layer, attributes always there") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("main", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 1000"));
  v1::ContainerStatsRequest request;
  request.set_container_id(id);
  const auto one = cell.call(&Cell::Runtime::ContainerStats, request);
  REQUIRE_CALL(one);
  CHECK(one.value.stats().attributes().metadata().name() == "main");
  CHECK(one.value.stats().cpu().timestamp() > 0);
  CHECK(one.value.stats().swap().timestamp() > 0);
  CHECK(one.value.stats().io().timestamp() > 0);
  if (path_exists("/proc/pressure")) {
    CHECK(one.value.stats().cpu().has_psi());
    CHECK(one.value.stats().memory().psi().has_full());
    CHECK(one.value.stats().io().psi().has_some());
  }
  CHECK(one.value.stats().writable_layer().has_used_bytes());
  const auto all = cell.call(&Cell::Runtime::ListContainerStats, v1::ListContainerStatsRequest{});
  REQUIRE_CALL(all);
  CHECK(all.value.stats_size() == 1);
  v1::PodSandboxStatsRequest pod_request;
  pod_request.set_pod_sandbox_id(pod);
  const auto of_pod = cell.call(&Cell::Runtime::PodSandboxStats, pod_request);
  REQUIRE_CALL(of_pod);
  CHECK(of_pod.value.stats().attributes().metadata().name() == "web");
  CHECK(of_pod.value.stats().linux().network().default_interface().name() == "eth0");
  CHECK(of_pod.value.stats().linux().process().process_count().value() >= 2);
  CHECK(of_pod.value.stats().linux().containers_size() == 1);
  const auto pods = cell.call(&Cell::Runtime::ListPodSandboxStats, v1::ListPodSandboxStatsRequest{});
  REQUIRE_CALL(pods);
  CHECK(pods.value.stats_size() == 1);
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}

TEST_CASE("ExecSync: without a time-out, or with a longer one, the command ends with its client's deadline") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("c", "exec sleep 1000"));
  for (const int timeout : {0, 500}) {
    CAPTURE(timeout);
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    for (const auto* word : {"/bin/sleep", "777"}) request.add_cmd(word);
    request.set_timeout(timeout);
    const auto answer = cell.call(&Cell::Runtime::ExecSync, request, 1);
    CHECK(answer.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    bool gone = false;
    for (int attempt = 0; attempt < 500 && !gone; ++attempt) {
      gone = cell.output(id, "ps -o args").find("sleep 777") == std::string::npos;
      (void)::usleep(20'000);
    }
    CHECK(gone);
  }
  CHECK(cell.output(id, "echo alive") == "alive");
  REQUIRE_CALL(cell.remove_pod(pod));
}

TEST_CASE("log rotation: ReopenContainerLog goes on in a new file, and no line is lost or doubled") {
  NEED_CELL();
  Cell cell;
  const auto pod = cell.pod(cell.pod_config());
  const auto id = cell.start(pod, cell.container_config("writer", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; exec sleep 1000"));
  const auto log = cell / "logs/web/writer/0.log";
  v1::ReopenContainerLogRequest request;
  request.set_container_id(id);
  constexpr int kRotations = 5;
  for (int round = 0; round < kRotations; ++round) {
    // As kubelet rotates: rename, then tell.
    REQUIRE_OK(sys::renameat2(AT_FDCWD, log, AT_FDCWD, format_text("{}.{}", log, round)));
    REQUIRE_CALL(cell.call(&Cell::Runtime::ReopenContainerLog, request));
    CHECK(path_exists(log));
  }
  std::string all;
  for (int attempt = 0; attempt < 10'000 && all.find("line 3000\n") == std::string::npos; ++attempt) {
    all.clear();
    for (int round = 0; round < kRotations; ++round) all += read_file(format_text("{}.{}", log, round)).value();
    all += read_file(log).value();
    (void)::usleep(2000);
  }
  std::vector<std::string> content;
  for (const auto line : split(trim(all), '\n')) content.emplace_back(line.substr(line.find(" stdout F ") + 10));
  REQUIRE(content.size() == 3000);
  for (std::size_t i = 0; i < content.size(); ++i) CHECK(content[i] == format_text("line {}", i + 1));
  // Of a container that does not run: an error, and no file appears.
  REQUIRE_CALL(cell.stop_container(id, 0));
  REQUIRE_OK(sys::renameat2(AT_FDCWD, log, AT_FDCWD, log + ".last"));
  const auto refused = cell.call(&Cell::Runtime::ReopenContainerLog, request);
  CHECK(refused.status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK_FALSE(path_exists(log));
  REQUIRE_CALL(cell.remove_pod(pod));
  CHECK(cell.leftovers() == "");
}
