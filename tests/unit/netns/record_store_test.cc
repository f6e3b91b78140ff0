#include "netns/record_store.h"

#include "harness/harness.h"

namespace husk::netns {
namespace {

std::unique_ptr<RecordStore> open_store(const std::string& directory) {
  auto store = RecordStore::open(directory);
  REQUIRE_OK(store);
  return std::move(store).value();
}

Record record(const std::string& id, std::uint32_t offset) {
  return {.pod_id = id,
          .name = "default/\"" + id + "\"",
          .uid = "u",
          .netns_path = "/run/x",
          .offset = offset,
          .ports = {{.protocol = "udp", .container_port = 53, .host_port = 5353, .host_ip = "127.0.0.1"}}};
}

void write(RecordStore& store, const Record& what) {
  auto locked = store.lock();
  REQUIRE_OK(locked);
  REQUIRE_OK(locked.value().write(what));
}

}  // namespace

TEST_CASE("a record reads back as it was written") {
  const auto before = record("web", 7);
  const auto after = parse_record(print_record(before));
  REQUIRE_OK(after);
  CHECK(print_record(after.value()) == print_record(before));
  CHECK(after.value().ports.at(0).host_port == 5353);
}

TEST_CASE("text that is no record is an error with its place") {
  struct Row {
    std::string text;
    std::string expected;
  };
  for (const auto& row : {Row{"", ""}, Row{"[]", ""}, Row{"{}", "podId"},
                          Row{R"({"podId":"a","name":"","uid":"","netns":"","offset":-1,"ports":[]})", "/offset"},
                          Row{R"({"podId":"a","name":"","uid":"","netns":"","offset":2,"ports":[{"protocol":"tcp",
                               "hostIP":"","containerPort":80,"hostPort":65536}]})",
                              "/ports/0/hostPort"}}) {
    CAPTURE(row.text);
    const auto parsed = parse_record(row.text);
    REQUIRE(!parsed.has_value());
    CHECK(parsed.error().to_string().find(row.expected) != std::string::npos);
  }
}

TEST_CASE("another store on the same directory sees what was written and removed") {
  const test::TempDir directory;
  const auto one = open_store(directory / "s");
  const auto two = open_store(directory / "s");
  { REQUIRE(two->lock().value().records().empty()); }
  write(*one, record("a", 2));
  write(*two, record("b", 3));
  {
    auto locked = one->lock();
    REQUIRE_OK(locked);
    CHECK(locked.value().find("b") != nullptr);
    REQUIRE_OK(locked.value().remove("b"));
    REQUIRE_OK(locked.value().remove("b"));
  }
  auto locked = two->lock();
  REQUIRE_OK(locked);
  CHECK(locked.value().find("b") == nullptr);
  CHECK(locked.value().records().size() == 1);
}

TEST_CASE("offsets go round and skip what is taken; the place in the round survives a restart") {
  const test::TempDir directory;
  auto store = open_store(directory / "s");
  CHECK(store->lock().value().find_free_offset(2, 4) == 2);
  write(*store, record("a", 2));
  CHECK(store->lock().value().find_free_offset(2, 4) == 3);
  write(*store, record("b", 3));
  { REQUIRE_OK(store->lock().value().remove("b")); }
  CHECK(store->lock().value().find_free_offset(2, 4) == 4);  // not 3, which was just freed
  store = open_store(directory / "s");
  CHECK(store->lock().value().find_free_offset(2, 4) == 4);
  write(*store, record("c", 4));
  CHECK(store->lock().value().find_free_offset(2, 4) == 3);
  write(*store, record("d", 3));
  CHECK(!store->lock().value().find_free_offset(2, 4).has_value());
  CHECK(store->lock().value().find_free_offset(2, 100) == 5);  // a subnet that grew
}

TEST_CASE("a subnet that shrank: offsets outside it do not count as taken inside") {
  const test::TempDir directory;
  const auto store = open_store(directory / "s");
  write(*store, record("far", 500));
  CHECK(store->lock().value().find_free_offset(2, 3) == 2);
}

TEST_CASE("what a writer that was killed left half-written goes with the next reading") {
  const test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "s/pods"));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/pods/a.json.tmp-0123abcd", "{"));
  const auto store = open_store(directory / "s");
  CHECK(store->lock().value().records().empty());
  CHECK(store->broken().empty());
  CHECK_FALSE(path_exists(directory / "s/pods/a.json.tmp-0123abcd"));
}

TEST_CASE("files that hold no record are reported, kept out, and removable") {
  const test::TempDir directory;
  REQUIRE_OK(make_directories(directory / "s/pods"));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/pods/empty.json", ""));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/pods/renamed.json", print_record(record("other", 2))));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/pods/a.json.tmp-1234", "half"));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/pods/huge.json", std::string(2U << 20U, ' ')));
  const auto store = open_store(directory / "s");
  auto locked = store->lock();
  REQUIRE_OK(locked);
  CHECK(locked.value().records().empty());
  REQUIRE_OK(locked.value().remove("empty"));
  REQUIRE_OK(locked.value().remove("renamed"));
  REQUIRE_OK(locked.value().remove("huge"));
  CHECK(!path_exists(directory / "s/pods/huge.json"));
  CHECK(!path_exists(directory / "s/pods/empty.json"));
  CHECK(!path_exists(directory / "s/pods/renamed.json"));
  CHECK(locked.value().remove("../x").error().kind() == Kind::invalid);
}

TEST_CASE("a lock file with nonsense is read as empty") {
  const test::TempDir directory;
  const auto store = open_store(directory / "s");
  write(*store, record("a", 2));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory / "s/lock", "nonsense"));
  auto locked = store->lock();
  REQUIRE_OK(locked);
  CHECK(locked.value().find("a") != nullptr);
}

}  // namespace husk::netns
