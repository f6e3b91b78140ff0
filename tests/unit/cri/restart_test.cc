#include "fakes.h"

using namespace husk;        // NOLINT: a test
using namespace husk::cri;   // NOLINT
using namespace husk::cri::test;  // NOLINT

TEST_CASE("a new huskd finds pods and containers as they are") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto running = bench.containers().create(pod, container_config("running")).value();
  const auto ended = bench.containers().create(pod, container_config("ended")).value();
  const auto created = bench.containers().create(pod, container_config("created")).value();
  REQUIRE_OK(bench.containers().start(running));
  REQUIRE_OK(bench.containers().start(ended));
  bench.world.ended.insert(ended);  // while no huskd was there
  const auto before = bench.world.text();
  bench.restart();
  CHECK(bench.world.text() == before);
  CHECK(bench.pod(pod)->ready);
  CHECK(bench.pod(pod)->annotations == pod_config().annotations);
  CHECK(bench.container(running)->state == ContainerState::running);
  CHECK(bench.container(ended)->state == ContainerState::exited);
  CHECK(bench.container(ended)->exit_code == 7);
  CHECK(bench.container(created)->pod_id == pod);
  CHECK_OK(bench.containers().stop(running, 1));
  CHECK_OK(bench.pods().remove(pod));
  CHECK(bench.world.text() == "");
  CHECK(bench.files().empty());
}

TEST_CASE("a pod whose monitor died is not ready; its containers ended with 255 or what the exit record says") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto told = bench.containers().create(pod, container_config("told")).value();
  const auto untold = bench.containers().create(pod, container_config("untold")).value();
  REQUIRE_OK(bench.containers().start(told));
  REQUIRE_OK(bench.containers().start(untold));
  const auto directory = bench.node().paths(pod).directory + "/containers/" + told;
  REQUIRE_OK(make_directories(directory));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/exit.json", monitor::encode(monitor::ExitRecord{.id = told, .exit_code = 3, .started_at_ns = 1, .finished_at_ns = 2})));
  bench.world.drop("monitor " + pod);
  SUBCASE("while huskd was away") { bench.restart(); }
  SUBCASE("while huskd watched") { bench.watch().monitor_lost(pod); }
  CHECK_FALSE(bench.pod(pod)->ready);
  CHECK(bench.container(told)->exit_code == 3);
  CHECK(bench.container(untold)->exit_code == 255);
  CHECK(bench.container(untold)->reason == "Unknown");
  CHECK(bench.world.text().find("container ") == std::string::npos);
  CHECK_OK(bench.pods().stop(pod));
  CHECK_OK(bench.pods().remove(pod));
  CHECK(bench.world.text() == "");
}

TEST_CASE("what an interrupted huskd did not record is removed") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config("kept")).value();
  const auto before = bench.world.text();
  const auto files = bench.files();
  // A pod and a container that were made but not recorded.
  const std::string lost(64, 'a');
  const std::string container(64, 'b');
  REQUIRE_OK(make_directories(bench.node().paths(lost).directory));
  for (const auto& item : {"address of " + lost, "netns " + bench.node().paths(lost).netns, "monitor " + lost, "container " + container, "rootfs " + container})
    bench.world.add(item);
  bench.restart();
  CHECK(bench.world.text() == before);
  CHECK(bench.files() == files);
  CHECK(bench.pod(pod)->ready);
}

TEST_CASE("image volumes of containers that no record names are unmounted; those of others stay") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  auto config = container_config();
  config.mounts = {{.container_path = "/data", .readonly = true, .image = "busybox"}};
  const auto kept = bench.containers().create(pod, config).value();
  const auto before = bench.world.text();
  const std::string lost(64, 'b');
  for (const auto& key : {lost + "-0", lost + "-11"}) bench.world.add("volume " + key);
  bench.restart();
  CHECK(bench.world.text() == before);
  CHECK(bench.world.alive.contains("volume " + kept + "-0"));
  for (const auto& key : {std::string{"holiday"}, lost, lost + "-x", std::string(64, 'g') + "-0"}) bench.world.add("volume " + key);
  const auto with_peoples = bench.world.text();
  bench.restart();
  CHECK(bench.world.text() == with_peoples);
}

TEST_CASE("after a reboot nothing runs: pods are not ready, containers ended, removal works") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto id = bench.containers().create(pod, container_config()).value();
  REQUIRE_OK(bench.containers().start(id));
  bench.world.alive.clear();
  REQUIRE_OK(remove_tree(AT_FDCWD, bench.directory / "state"));
  bench.restart();
  CHECK_FALSE(bench.pod(pod)->ready);
  CHECK(bench.container(id)->exit_code == 255);
  CHECK_OK(bench.pods().stop(pod));
  CHECK_OK(bench.pods().remove(pod));
  CHECK(bench.files().empty());
}

TEST_CASE("a damaged record is set aside, the others load") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  const auto directory = bench.directory / "root/records/pods/";
  REQUIRE_OK(write_atomically(AT_FDCWD, directory + std::string(64, 'c') + ".json", "{\"version\":1,"));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory + std::string(64, 'd') + ".json", "{\"version\":9}"));
  bench.restart();
  CHECK(bench.node().pods.list().size() == 1);
  CHECK(bench.pod(pod)->ready);
  CHECK(path_exists(directory + std::string(64, 'c') + ".damaged"));
}

TEST_CASE("the end of pause makes the pod not ready") {
  Bench bench;
  const auto pod = bench.pods().run(pod_config()).value();
  bench.watch().container_exited(pod, {.id = pod, .exit_code = 137});
  CHECK_FALSE(bench.pod(pod)->ready);
  CHECK_OK(bench.pods().stop(pod));
  CHECK(bench.world.text() == "");
}
