#include <thread>

#include "fakes.h"

using namespace husk;        // NOLINT: a test
using namespace husk::cri;   // NOLINT
using namespace husk::cri::test;  // NOLINT

TEST_CASE("a pod runs, stops and goes, and nothing is left") {
  Bench bench;
  const auto id = bench.pods().run(pod_config());
  REQUIRE_OK(id);
  CHECK(id.value().size() == 64);
  const auto record = bench.pod(id.value());
  CHECK(record->ready);
  CHECK(record->addresses == std::vector<std::string>{"10.88.0.2"});
  CHECK(record->pause_pid == FakePodMonitor::kPid);
  CHECK(record->cgroup_parent == "/husk/pod-" + id.value());
  CHECK(read_file(bench.node().paths(id.value()).hosts).value().find("10.88.0.2\tweb\n") != std::string::npos);
  REQUIRE_OK(bench.pods().stop(id.value()));
  CHECK_FALSE(bench.pod(id.value())->ready);
  CHECK(bench.world.text() == "");
  REQUIRE_OK(bench.pods().remove(id.value()));
  CHECK(bench.files().empty());
}

TEST_CASE("RunPodSandbox: each step that fails takes back the steps before it") {
  for (const auto* step : {"monitors.start", "host.create_netns", "network.set_up", "host.mount_shm", "monitors.finish",
                           "pause.create", "pause.start", "pause.status"}) {
    CAPTURE(step);
    Bench bench;
    bench.world.failing = step;
    const auto id = bench.pods().run(pod_config());
    REQUIRE_FALSE(id.has_value());
    CHECK(bench.world.text() == "");
    CHECK(bench.files().empty());
    CHECK(bench.node().pods.list().empty());
    // The name is free again: a retry works.
    bench.world.failing.clear();
    bench.world.ended.clear();
    CHECK_OK(bench.pods().run(pod_config()));
  }
}

TEST_CASE("RunPodSandbox: a wrong DNS entry and a full disk are rolled back as well") {
  SUBCASE("files of the pod") {
    Bench bench;
    auto config = pod_config();
    config.dns = DnsConfig{.servers = {"10.0.0.1\nnameserver 6.6.6.6"}};
    const auto id = bench.pods().run(config);
    REQUIRE_FALSE(id.has_value());
    CHECK(id.error().kind() == Kind::invalid);
    CHECK(bench.world.text() == "");
    CHECK(bench.files().empty());
  }
  SUBCASE("record") {
    Bench bench;
    REQUIRE_OK(remove_tree(AT_FDCWD, bench.directory / "root/records/pods"));
    CHECK_FALSE(bench.pods().run(pod_config()).has_value());
    CHECK(bench.world.text() == "");
    CHECK(bench.files().empty());
  }
}

TEST_CASE("a repeated RunPodSandbox gives the pod that runs; another configuration under its name is refused") {
  Bench bench;
  const auto first = bench.pods().run(pod_config());
  REQUIRE_OK(first);
  const auto again = bench.pods().run(pod_config());
  REQUIRE_OK(again);
  CHECK(again.value() == first.value());
  auto other = pod_config();
  other.hostname = "other";
  const auto refused = bench.pods().run(other);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind() == Kind::exists);
  other.metadata.attempt = 1;
  CHECK_OK(bench.pods().run(other));
}

TEST_CASE("a retry while the first call runs joins it and gets its result") {
  Bench bench;
  std::thread second;
  Result<std::string> joined = Error{Kind::internal, "did not run"};
  bool begun = false;
  bench.world.during["host.mount_shm"] = [&] {
    if (std::exchange(begun, true)) return;
    second = std::thread{[&] { joined = bench.pods().run(pod_config()); }};
    CHECK(bench.pods().running_calls().size() == 1);
    CHECK(bench.pods().running_calls().front().stage == "5 files and shared memory");
  };
  const auto first = bench.pods().run(pod_config());
  second.join();
  REQUIRE_OK(first);
  REQUIRE_OK(joined);
  CHECK(joined.value() == first.value());
  CHECK(bench.world.count("monitors.start") == 1);
}

TEST_CASE("StopPodSandbox and RemovePodSandbox: unknown, repeated and by prefix are success") {
  Bench bench;
  CHECK_OK(bench.pods().stop("0123"));
  CHECK_OK(bench.pods().remove("0123"));
  const auto id = bench.pods().run(pod_config()).value();
  CHECK_OK(bench.pods().stop(id.substr(0, 13)));
  CHECK_OK(bench.pods().stop(id));
  CHECK_OK(bench.pods().remove(id.substr(0, 13)));
  CHECK_OK(bench.pods().remove(id));
  CHECK_FALSE(bench.pods().stop("").has_value());
}

TEST_CASE("StopPodSandbox: a network that cannot be taken down is an error, and the next call goes on") {
  Bench bench;
  const auto id = bench.pods().run(pod_config()).value();
  bench.world.failing = "network.tear_down";
  CHECK_FALSE(bench.pods().stop(id).has_value());
  CHECK_FALSE(bench.pod(id)->ready);
  CHECK_FALSE(bench.pod(id)->released);
  bench.world.failing.clear();
  CHECK_OK(bench.pods().stop(id));
  CHECK(bench.world.text() == "");
}

TEST_CASE("host network: no namespace, no address, the host's name") {
  Bench bench;
  auto config = pod_config();
  config.namespaces.network = NamespaceMode::node;
  config.hostname.clear();
  const auto id = bench.pods().run(config);
  REQUIRE_OK(id);
  CHECK(bench.pod(id.value())->netns_path.empty());
  CHECK(bench.pod(id.value())->addresses.empty());
  CHECK(bench.network.requests.empty());
}

TEST_CASE("only published ports reach the network") {
  Bench bench;
  auto config = pod_config();
  config.ports = {{.protocol = "tcp", .container_port = 80, .host_port = 0}, {.protocol = "udp", .container_port = 53, .host_port = 5353}};
  REQUIRE_OK(bench.pods().run(config));
  REQUIRE(bench.network.requests.size() == 1);
  REQUIRE(bench.network.requests[0].ports.size() == 1);
  CHECK(bench.network.requests[0].ports[0].host_port == 5353);
}

TEST_CASE("wrong pods are refused before anything is made") {
  struct Row {
    const char* what;
    std::function<void(PodConfig&)> spoil;
  };
  const std::vector<Row> rows{
      {"no name", [](PodConfig& c) { c.metadata.name.clear(); }},
      {"no namespace", [](PodConfig& c) { c.metadata.namespace_name.clear(); }},
      {"no uid", [](PodConfig& c) { c.metadata.uid.clear(); }},
      {"relative log directory", [](PodConfig& c) { c.log_directory = "logs"; }},
      {"unknown handler", [](PodConfig& c) { c.runtime_handler = "kata"; }},
      {"sysctl of the host", [](PodConfig& c) { c.sysctls = {{"vm.overcommit_memory", "1"}}; }},
      {"sysctl with slashes", [](PodConfig& c) { c.sysctls = {{"net/ipv4/../../kernel/core_pattern", "x"}}; }},
      {"net sysctl with host network", [](PodConfig& c) { c.namespaces.network = NamespaceMode::node; c.sysctls = {{"net.core.somaxconn", "1"}}; }},
      {"selinux on a kernel without", [](PodConfig& c) { c.selinux.type = "spc_t"; }},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    Bench bench;
    auto config = pod_config();
    row.spoil(config);
    CHECK_FALSE(bench.pods().run(config).has_value());
    CHECK(bench.world.calls.empty());
    CHECK(bench.files().empty());
  }
}
