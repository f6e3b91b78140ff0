// Faults: a full disk, content that is cut or wrong, a process that is killed, two processes at once.
#include "bed.h"

#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "base/process.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

// Runs `body` in a child process that ends by SIGKILL, wherever it then stands.
void killed_process(const std::function<void()>& body) {
  const auto child = sys::clone3({});
  REQUIRE_OK(child);
  if (child.value().pid == 0) {
    body();
    (void)::raise(SIGKILL);
  }
  const auto ended = sys::waitpid(child.value().pid);
  REQUIRE_OK(ended);
  REQUIRE(ended.value().signal == SIGKILL);
}


struct Running {
  pid_t pid;
  int wait() const { return sys::waitpid(pid).value().status; }
};

Running start(const std::function<bool()>& body) {
  const auto child = sys::clone3({});
  REQUIRE_OK(child);
  if (child.value().pid == 0) ::_exit(body() ? 0 : 1);
  return {child.value().pid};
}

std::string write(const std::string& path, const std::string& text) {
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
  return path;
}

std::vector<std::string> names_in(const std::string& path) {
  const auto fd = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(fd);
  std::vector<std::string> names;
  const auto entries = sys::list_dir(fd.value().get());
  REQUIRE_OK(entries);
  for (const auto& entry : entries.value()) names.push_back(entry.name);
  return names;
}

bool is_clean(const std::string& root) {
  return names_in(root + "/layers").empty() && names_in(root + "/blobs/sha256").empty() && names_in(root + "/containers").empty();
}

std::string big_tar() { return tar_of(directory("d") + file("d/big", std::string(3U << 20U, 'x')) + file("d/last", "end")); }

}  // namespace

TEST_CASE("a full disk: the import fails as exhausted, leaves nothing, and works once there is room") {
  HUSK_NEEDS_ROOT();
  TempDir outside;
  const auto tar = write(outside / "big.tar", big_tar());
  TmpfsDir disk{"size=5m"};
  const auto store = open_tools({.root = disk / "store"});
  REQUIRE_OK(store);
  const auto failed = store.value()->import(tar, "big");
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().kind() == Kind::exhausted);
  CHECK(failed.error().to_string().find("No space left") != std::string::npos);
  CHECK(store.value()->list().value().empty());
  CHECK(is_clean(disk / "store"));
  REQUIRE_OK(store.value()->import(write(outside / "small.tar", tar_of(file("a", "1"))), "small"));
}

TEST_CASE("a full disk at every size: whatever step fails, nothing is left behind") {
  HUSK_NEEDS_ROOT();
  TempDir outside;
  std::string text;
  for (int i = 0; i < 30; ++i) text += file("f" + std::to_string(i), std::string(5000, 'x'));
  const auto tar = write(outside / "a.tar", tar_of(text));
  int failures = 0;
  for (int kib = 200; kib <= 900; kib += 20) {
    CAPTURE(kib);
    TmpfsDir disk{format_text("size={}k", kib)};
    auto store = open_tools({.root = disk / "store"});
    if (!store.has_value()) continue;
    const auto id = store.value()->import(tar, "a");
    if (id.has_value()) continue;
    ++failures;
    CHECK(id.error().kind() == Kind::exhausted);
    store = Error{Kind::internal, "closed"};
    // Once there is room, the next one to open it finds a sane store, whatever could not be undone then.
    disk.resize("size=10m");
    const auto again = open_tools({.root = disk / "store"});
    REQUIRE_OK(again);
    CHECK(again.value()->list().value().empty());
    CHECK(is_clean(disk / "store"));
    CHECK_OK(again.value()->import(tar, "a"));
  }
  CHECK(failures > 3);
}

TEST_CASE("content that is cut short or wrong: an error that says so, and nothing left") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  const auto tar = tar_of(file("a", "1") + file("b", std::string(3000, 'x')));
  const auto digest = sha256_of(tar).value();
  const auto feed = [&](const LayerSource& source, const std::string& bytes) {
    const auto batch = bed.layers->begin({source});
    REQUIRE_OK(batch);
    auto sink = batch.value()->start(0);
    if (!sink.has_value()) return error_text(sink);
    auto done = sink.value()->write(bytes);
    if (done.has_value()) done = sink.value()->finish();
    if (done.has_value()) CHECK_OK(batch.value()->commit());
    return error_text(done);
  };
  const auto other = "sha256:" + std::string(64, '1');
  CHECK(feed({.digest = digest, .diff_id = digest, .size = tar.size()}, tar) == "success");
  CHECK(feed({.digest = digest, .diff_id = digest, .size = tar.size()}, tar.substr(0, 2000)).find("descriptor says") != std::string::npos);
  CHECK(feed({.digest = digest, .diff_id = digest}, tar.substr(0, 2000)).find("digest is") != std::string::npos);
  CHECK(feed({.digest = digest, .size = tar.size()}, tar + "x").find("longer than") != std::string::npos);
  CHECK(feed({.digest = other}, tar).find("expected " + other) != std::string::npos);
  CHECK(feed({.diff_id = other}, tar).find("config says " + other) != std::string::npos);
  CHECK(feed({.diff_id = sha256_of(tar.substr(0, 1500)).value()}, tar.substr(0, 1500)).find("ends inside this entry") != std::string::npos);
  CHECK(feed({.media_type = "application/json"}, tar).find("no layer") == std::string::npos);
  CHECK(feed({.media_type = "application/json"}, tar) != "success");
  CHECK(is_clean(temporary / "store"));
}

TEST_CASE("a layer that failed can be fed again, and an unfinished one cannot be committed") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  const auto tar = tar_of(file("a", "1"));
  const auto batch = bed.layers->begin({{.digest = sha256_of(tar).value(), .diff_id = sha256_of(tar).value()}});
  REQUIRE_OK(batch);
  CHECK(batch.value()->commit().error().kind() == Kind::wrong_state);
  {
    auto sink = batch.value()->start(0);
    REQUIRE_OK(sink.value()->write("broken"));
    CHECK_FALSE(sink.value()->finish().has_value());
  }
  auto sink = batch.value()->start(0);
  REQUIRE_OK(sink.value()->write(tar));
  REQUIRE_OK(sink.value()->finish());
  CHECK_OK(batch.value()->commit());
}

TEST_CASE("layers of one batch are fed by several threads at once") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  std::vector<std::string> tars;
  std::vector<LayerSource> sources;
  for (int i = 0; i < 6; ++i) {
    std::string text;
    for (int k = 0; k < 50; ++k) text += file(format_text("d{}/f{}", i % 3, k), std::to_string(i));
    tars.push_back(tar_of(text));
    sources.push_back({.diff_id = sha256_of(tars.back()).value()});
  }
  const auto batch = bed.layers->begin(sources);
  REQUIRE_OK(batch);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < tars.size(); ++i)
    threads.emplace_back([&, i] {
      auto sink = batch.value()->start(i);
      if (sink.has_value() && sink.value()->write(tars[i]).has_value() && sink.value()->finish().has_value()) ++good;
    });
  for (auto& thread : threads) thread.join();
  CHECK(good == 6);
  const auto results = batch.value()->commit();
  REQUIRE_OK(results);
  std::vector<std::string> directories;
  for (const auto& result : results.value())
    directories.insert(directories.begin(), bed.dir->layer_path(digest_hex(result.chain_id).value()) + "/fs");
  const auto tree = merged(directories, temporary / "mnt");
  CHECK(tree.at("d2/f7") == "f 644 0:0 5");
  CHECK(tree.size() == 153);
}

TEST_CASE("kill -9 in the middle of unpacking: the next open sweeps what was begun") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  const auto root = temporary / "store";
  const auto tar = big_tar();
  killed_process([&] {
    Bed bed{root};
    auto batch = bed.layers->begin({{.diff_id = sha256_of(tar).value()}});
    auto sink = batch.value()->start(0);
    (void)sink.value()->write(std::string_view{tar}.substr(0, 2U << 20U));
    (void)::raise(SIGKILL);
  });
  CHECK(names_in(root + "/tmp").size() == 1);
  const auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  CHECK(names_in(root + "/tmp").size() == 1);  // our own
  CHECK(is_clean(root));
}

TEST_CASE("kill -9 between layers and record: layers without an image are swept") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  const auto root = temporary / "store";
  killed_process([&] {
    Bed bed{root};
    const auto made = unpack(bed, {tar_of(file("a", "1")), tar_of(file("b", "2"))});
    (void)::raise(made.has_value() ? SIGKILL : SIGABRT);
  });
  CHECK(names_in(root + "/layers").size() == 2);
  const auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  CHECK(is_clean(root));
  CHECK(store.value()->usage().value().used_bytes == 0);
}

TEST_CASE("kill -9 between files and rows, and after rows went: orphans are swept, lost layers unpacked again") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  const auto root = temporary / "store";
  const auto tar = write(temporary / "a.tar", tar_of(file("a", "1")));
  std::string layer;
  {
    const auto store = open_tools({.root = root});
    REQUIRE_OK(store);
    REQUIRE_OK(store.value()->import(tar, "a"));
    layer = root + "/layers/" + names_in(root + "/layers").at(0);
  }
  // A directory and a blob whose rows never came, a container likewise, and a dead owner that says so.
  REQUIRE_OK(make_directories(root + "/layers/" + std::string(64, 'e') + "/fs"));
  write(root + "/blobs/sha256/" + std::string(64, 'e'), "x");
  REQUIRE_OK(make_directories(root + "/containers/orphan/upper"));
  REQUIRE_OK(make_directories(root + "/tmp/dead-owner/layer-1/fs/deep"));
  auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  CHECK(names_in(root + "/layers").size() == 1);
  CHECK(names_in(root + "/blobs/sha256").size() == 1);
  CHECK(names_in(root + "/containers").empty());
  // A layer whose rename was lost: its row is there, its directory is not.
  REQUIRE_OK(remove_tree(AT_FDCWD, layer));
  REQUIRE_OK(store.value()->import(tar, "a"));
  CHECK(path_exists(layer + "/fs/a"));
}

TEST_CASE("kill -9 at many moments of an import: every reopened store is whole") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  std::string text;
  for (int i = 0; i < 200; ++i) text += file("f" + std::to_string(i), std::string(2000, 'x'));
  const auto tar = write(temporary / "a.tar", tar_of(text));
  const auto root = temporary / "store";
  int whole = 0;
  int absent = 0;
  for (int round = 0; round < 40; ++round) {
    const auto child = start([&] {
      const auto store = open_tools({.root = root});
      return store.has_value() && store.value()->import(tar, "a").has_value();
    });
    const auto pidfd = sys::pidfd_open(child.pid);
    REQUIRE_OK(pidfd);
    std::vector<sys::PollEntry> entries{{pidfd.value().get(), 1}};
    REQUIRE_OK(sys::poll(entries, round));  // a later moment each round
    (void)sys::kill(child.pid, SIGKILL);
    (void)child.wait();
    const auto store = open_tools({.root = root});
    REQUIRE_OK(store);
    const auto found = store.value()->find("a");
    REQUIRE_OK(found);
    if (!found.value().has_value()) {
      ++absent;
      CHECK(is_clean(root));
      continue;
    }
    ++whole;
    const auto path = store.value()->mount_image(found.value()->id, "v");
    REQUIRE_OK(path);
    CHECK(describe(path.value()).size() == 200);
    CHECK_OK(store.value()->unmount_image("v"));
    CHECK_OK(store.value()->remove("a"));
    CHECK(is_clean(root));
  }
  CHECK(absent > 0);
  MESSAGE("whole ", whole, ", absent ", absent);
}

TEST_CASE("two processes at once: imports, removals and garbage collection do not hurt each other") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  const auto root = temporary / "store";
  const auto base = tar_of(file("shared", std::string(20000, 's')));
  std::vector<std::string> tars;
  for (int i = 0; i < 2; ++i) tars.push_back(write(temporary / format_text("{}.tar", i), base));
  const auto work = [&](int own) {
    const auto store = open_tools({.root = root});
    if (!store.has_value()) return false;
    const auto name = format_text("image{}", own);
    for (int round = 0; round < 25; ++round) {
      // Both images have the same layer: one process removes it while the other one uses it.
      const auto id = store.value()->import_with(tars[static_cast<std::size_t>(own)], name, {.env = {"OWN=" + std::to_string(own)}});
      if (!id.has_value()) {
        std::fprintf(stderr, "import: %s\n", id.error().to_string().c_str());
        return false;
      }
      const auto path = store.value()->mount_image(id.value(), "view-" + name);
      if (!path.has_value() || read_file(path.value() + "/shared").value().size() != 20000) {
        std::fprintf(stderr, "mount: %s\n", error_text(path).c_str());
        return false;
      }
      if (!store.value()->unmount_image("view-" + name).has_value()) return false;
      if (!store.value()->remove(name).has_value()) return false;
    }
    return true;
  };
  const auto first = start([&] { return work(0); });
  const auto second = start([&] { return work(1); });
  CHECK(first.wait() == 0);
  CHECK(second.wait() == 0);
  const auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  CHECK(store.value()->list().value().empty());
  CHECK(is_clean(root));
}

TEST_CASE("the tmp directory of a living process is left alone by others that open the store") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  Bed bed{temporary / "store"};
  const auto tar = tar_of(file("a", "1"));
  const auto batch = bed.layers->begin({{.diff_id = sha256_of(tar).value()}});
  REQUIRE_OK(batch);
  auto sink = batch.value()->start(0);
  REQUIRE_OK(sink.value()->write(std::string_view{tar}.substr(0, 600)));
  for (int i = 0; i < 3; ++i) REQUIRE_OK(open_tools({.root = temporary / "store"}));
  REQUIRE_OK(sink.value()->write(std::string_view{tar}.substr(600)));
  REQUIRE_OK(sink.value()->finish());
  CHECK_OK(batch.value()->commit());
  // Its layers have no image yet, but a lease: others must not collect them.
  REQUIRE_OK(open_tools({.root = temporary / "store"}).value()->remove("nothing"));
  CHECK(names_in(temporary / "store/layers").size() == 1);
}
