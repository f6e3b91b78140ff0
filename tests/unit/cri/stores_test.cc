#include <atomic>
#include <thread>

#include "cri/joined_calls.h"
#include "cri/pod_files.h"
#include "cri/host.h"
#include "cri/record_store.h"
#include "harness/cost.h"
#include "harness/harness.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT

namespace {

ContainerRecord full_record() {
  ContainerRecord record;
  record.id = std::string(64, 'a');
  record.pod_id = std::string(64, 'b');
  record.name = "n";
  record.attempt = 3;
  record.fingerprint = "f";
  record.image = "i";
  record.image_name = "in";
  record.user_specified_image = "u";
  record.image_ref = "r";
  record.image_id = "id";
  record.labels = {{"z", "1"}, {"a", ""}};
  record.annotations = {{"", "\"quoted\"\n\xc3\xa9"}};
  record.log_path = "/l";
  record.mounts = {{.container_path = "/c", .host_path = "/h", .readonly = true, .selinux_relabel = true, .recursive_read_only = true,
                    .propagation = Propagation::bidirectional, .image = "im", .image_sub_path = "sub", .image_ref = "ref"}};
  record.image_volumes = {"v"};
  record.resources = {.cpu_period = 1, .cpu_quota = -1, .cpu_shares = 2, .memory_limit = 3, .memory_swap_limit = 4, .oom_score_adj = -5,
                      .cpuset_cpus = "0", .cpuset_mems = "1", .hugepage_limits = {{.page_size = "2MB", .limit = 9}}, .unified = {{"k", "v"}}};
  record.user = {.uid = 4294967294U, .gid = 2, .groups = {2, 3}};
  record.stop_signal = 37;
  record.tty = true;
  record.rootfs = "/r";
  record.cgroup_path = "/g";
  record.pid = 7;
  record.state = ContainerState::exited;
  record.created_at_ns = 1'700'000'000'000'000'001;
  record.started_at_ns = 2;
  record.finished_at_ns = 3;
  record.exit_code = 137;
  record.reason = "OOMKilled";
  record.message = "m";
  return record;
}

}  // namespace

TEST_CASE("a record of many labels does not cost their square") {
  const auto write = [](int count) {
    ContainerRecord record;
    for (int i = 0; i < count; ++i) record.labels.emplace_back(format_text("key-{}", i), "value");
    CHECK(encode(record).size() > static_cast<std::size_t>(count));
  };
  CHECK(test::growth_of(write) < test::kNotTheSquare);
}

TEST_CASE("a container record reads back as it was written") {
  const auto text = encode(full_record());
  const auto again = decode_container_record(text);
  REQUIRE_OK(again);
  CHECK(encode(again.value()) == text);
  CHECK(again.value().annotations == full_record().annotations);
  CHECK(again.value().created_at_ns == 1'700'000'000'000'000'001);
  CHECK(again.value().user.uid == 4294967294U);
  CHECK(again.value().mounts.at(0).propagation == Propagation::bidirectional);
}

TEST_CASE("a pod record reads back as it was written; nonsense is an error") {
  PodRecord record{.id = "p", .metadata = {.name = "n", .uid = "u", .namespace_name = "ns", .attempt = 2}, .fingerprint = "f", .hostname = "h"};
  record.addresses = {"10.88.0.2", "fd00::2"};
  record.namespaces = {.network = NamespaceMode::node, .pid = NamespaceMode::container, .ipc = NamespaceMode::pod};
  record.ready = true;
  const auto text = encode(record);
  const auto again = decode_pod_record(text);
  REQUIRE_OK(again);
  CHECK(encode(again.value()) == text);
  for (const auto* wrong : {"", "[]", "{}", R"({"version":2})", R"({"version":1,"id":5})", R"({"version":1,"attempt":-1})", R"({"version":1,"namespaces":{"pid":9}})"}) {
    CAPTURE(wrong);
    CHECK_FALSE(decode_pod_record(wrong).has_value());
  }
  CHECK_FALSE(decode_container_record(R"({"version":1,"state":9})").has_value());
}

TEST_CASE("ids are found by unique prefix") {
  const husk::test::TempDir directory;
  auto opened = PodStore::open(directory / "pods", "pod", decode_pod_record);
  REQUIRE_OK(opened);
  auto& store = *opened.value();
  for (const auto* id : {"aa11", "aa22", "bb33"}) REQUIRE_OK(store.insert({.id = id}));
  CHECK(store.find("bb").value()->id == "bb33");
  CHECK(store.find("aa11").value()->id == "aa11");
  CHECK(store.find("aa").error().kind() == Kind::invalid);
  CHECK(store.find("").error().kind() == Kind::invalid);
  CHECK(store.find("cc").error().kind() == Kind::not_found);
  CHECK(store.find("../pods/aa11").error().kind() == Kind::not_found);
}

TEST_CASE("records survive: a new store reads what the old one wrote, without what it erased") {
  const husk::test::TempDir directory;
  {
    const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record).value();
    REQUIRE_OK(store->insert({.id = "aa"}));
    REQUIRE_OK(store->insert({.id = "bb"}));
    REQUIRE_OK(store->update("aa", Durable::yes, [](PodRecord& record) { return record.ready = true; }));
    REQUIRE_OK(store->erase("bb"));
    CHECK(store->update("bb", Durable::yes, [](PodRecord&) { return true; }).error().kind() == Kind::not_found);
  }
  const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record).value();
  REQUIRE(store->list().size() == 1);
  CHECK(store->list()[0]->ready);
}

TEST_CASE("what a writer that was killed left half-written goes when the store is opened; other files stay") {
  const husk::test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "pods"));
  for (const auto* name : {"aa.json.tmp-0123abcd", "aa.json.tmp-0123abcx", "aa.json.tmp-0123ab", ".tmp-0123abcd", "bb.damaged"})
    REQUIRE_OK(write_atomically(AT_FDCWD, directory / (std::string{"pods/"} + name), "{"));
  const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record).value();
  CHECK(store->list().empty());
  CHECK_FALSE(path_exists(directory / "pods/aa.json.tmp-0123abcd"));
  for (const auto* name : {"aa.json.tmp-0123abcx", "aa.json.tmp-0123ab", ".tmp-0123abcd", "bb.damaged"}) CHECK(path_exists(directory / (std::string{"pods/"} + name)));
}

TEST_CASE("a change that cannot be written is not seen") {
  const husk::test::TempDir directory;
  const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record).value();
  REQUIRE_OK(store->insert({.id = "aa"}));
  REQUIRE_OK(remove_tree(AT_FDCWD, directory / "pods"));
  CHECK_FALSE(store->update("aa", Durable::yes, [](PodRecord& record) { return record.ready = true; }).has_value());
  CHECK_FALSE(store->find("aa").value()->ready);
  CHECK_FALSE(store->insert({.id = "bb"}).has_value());
  CHECK(store->list().size() == 1);
}

TEST_CASE("a record that no later huskd could read is refused, whatever the request's text grows to") {
  const husk::test::TempDir directory;
  const auto text_of = [](std::size_t bytes) { return std::string(bytes, '\x01'); };  // six bytes each in JSON
  {
    const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record).value();
    PodRecord huge{.id = "aa"};
    huge.annotations = {{"note", text_of(3U << 20U)}};
    const auto refused = store->insert(huge);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind() == Kind::invalid);
    CHECK(store->list().empty());
    PodRecord large{.id = "bb"};
    large.annotations = {{"note", text_of(2U << 20U)}};
    REQUIRE_OK(store->insert(large));
  }
  const auto store = PodStore::open(directory / "pods", "pod", decode_pod_record);
  REQUIRE_OK(store);
  REQUIRE(store.value()->list().size() == 1);
  CHECK(store.value()->list()[0]->annotations.front().second.size() == 2U << 20U);
}

TEST_CASE("updates of one record follow each other") {
  const husk::test::TempDir directory;
  const auto store = ContainerStore::open(directory / "c", "container", decode_container_record).value();
  REQUIRE_OK(store->insert({.id = "aa"}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 10; ++k)
        (void)store->update("aa", Durable::no, [](ContainerRecord& record) { return ++record.attempt != 0; });
    });
  for (auto& thread : threads) thread.join();
  CHECK(store->find("aa").value()->attempt == 80);
}

TEST_CASE("JoinedCalls: one run for many callers, another fingerprint is refused, afterwards the key is free") {
  JoinedCalls calls;
  std::atomic<int> runs = 0;
  std::promise<void> go;
  auto gate = go.get_future().share();
  std::promise<void> inside;
  const auto work = [&](Stage& stage) -> JoinedCalls::Answer {
    ++runs;
    stage.enter("waiting");
    inside.set_value();
    gate.wait();
    return std::string{"answer"};
  };
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  threads.emplace_back([&] { right += calls.run("key", "a", work).value() == "answer" ? 1 : 0; });
  inside.get_future().wait();
  CHECK(calls.running().at(0).stage == "waiting");
  CHECK(calls.run("key", "b", work).error().kind() == Kind::exists);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { right += calls.run("key", "a", [](Stage&) -> JoinedCalls::Answer { return std::string{"answer"}; }).value() == "answer" ? 1 : 0; });
  go.set_value();
  for (auto& thread : threads) thread.join();
  CHECK(right == 5);
  CHECK(runs == 1);
  CHECK(calls.running().empty());
  CHECK_FALSE(calls.run("key", "c", [](Stage&) -> JoinedCalls::Answer { return Error{Kind::busy, "x"}; }).has_value());
}

TEST_CASE("fingerprints: equal requests are equal, any field makes a difference") {
  PodConfig pod;
  CHECK(fingerprint(pod) == fingerprint(PodConfig{}));
  pod.annotations = {{"a", "bc"}};
  const auto first = fingerprint(pod);
  pod.annotations = {{"ab", "c"}};
  CHECK(fingerprint(pod) != first);
  ContainerConfig container;
  container.run_as_user = 0;
  CHECK(fingerprint(container) != fingerprint(ContainerConfig{}));
  CHECK(fingerprint(container).size() == 32);
}

TEST_CASE("resolv.conf is written from the request, word by word") {
  CHECK(resolv_conf_text({.servers = {"10.0.0.1", "fd00::1"}, .searches = {"a.b", "c"}, .options = {"ndots:5"}}).value() ==
        "search a.b c\nnameserver 10.0.0.1\nnameserver fd00::1\noptions ndots:5\n");
  for (const auto& word : {std::string{"a b"}, std::string{"x\ny"}, std::string{}, std::string(300, 'x')}) {
    CHECK_FALSE(resolv_conf_text({.servers = {word}}).has_value());
    CHECK_FALSE(resolv_conf_text({.searches = {word}}).has_value());
    CHECK_FALSE(resolv_conf_text({.options = {word}}).has_value());
  }
}

TEST_CASE("man 5 proc: propagation is that of the deepest mount that holds the path") {
  const std::string text =
      "21 1 0:1 / / rw shared:1 - ext4 /dev/vda rw\n"
      "22 21 0:2 / /srv rw - tmpfs t rw\n"
      "23 22 0:3 / /srv/deep rw master:9 - tmpfs t rw\n"
      "24 21 0:4 / /srvx rw shared:3 master:9 - tmpfs t rw\n";
  CHECK(parse_propagation(text, "/etc") == "shared");
  CHECK(parse_propagation(text, "/srv") == "private");
  CHECK(parse_propagation(text, "/srv/deep/er") == "slave");
  CHECK(parse_propagation(text, "/srv/deeper") == "private");
  CHECK(parse_propagation(text, "/srvx/a") == "shared");
}
