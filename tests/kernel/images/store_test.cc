// The store through its façade: names, containers, commit, garbage, import.
#include "bed.h"

#include <sys/file.h>

#include <thread>

#include "images/bundle.h"

using namespace husk;
using namespace husk::images;
using namespace husk::test;

namespace {

std::unique_ptr<ImageTools> open_store(const std::string& root) {
  auto store = open_tools({.root = root});
  REQUIRE_OK(store);
  return std::move(store).value();
}

void make_tree(const std::string& root) {
  REQUIRE_OK(make_directories(root + "/etc"));
  REQUIRE_OK(make_directories(root + "/data/sub"));
  REQUIRE_OK(write_atomically(AT_FDCWD, root + "/etc/hosts", "image's own"));
  REQUIRE_OK(sys::symlinkat("/proc/self/root/victim", AT_FDCWD, root + "/etc/resolv.conf"));
  REQUIRE_OK(write_atomically(AT_FDCWD, root + "/data/a", "a"));
  REQUIRE_OK(sys::linkat(AT_FDCWD, root + "/data/a", AT_FDCWD, root + "/data/b"));
  REQUIRE_OK(write_atomically(AT_FDCWD, root + "/data/sub/c", "c"));
  REQUIRE_OK(sys::mknodat(AT_FDCWD, root + "/data/socket", S_IFSOCK | 0600, 0));
}

std::string write(const std::string& path, const std::string& text) {
  REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
  return path;
}

// Everything below the store that is not the database or the lock.
std::vector<std::string> left_in(const std::string& root) {
  std::vector<std::string> names;
  for (const auto& [name, text] : describe(root))
    if (name.find('/') != std::string::npos && name != "blobs/sha256" && !name.starts_with("tmp/")) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("a directory tree becomes an image of one layer that shows the same tree") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  ConfigChanges changes{.env = {"A=1"}};
  changes.cmd = std::vector<std::string>{"/bin/app", "-x"};
  const auto id = store->import_with(temporary / "tree", "app:1", changes);
  REQUIRE_OK(id);
  const auto image = store->find("app:1");
  REQUIRE_OK(image);
  REQUIRE(image.value().has_value());
  CHECK(image.value()->id == id.value());
  CHECK(image.value()->repo_tags == std::vector<std::string>{"docker.io/library/app:1"});
  CHECK(image.value()->config.cmd == std::vector<std::string>{"/bin/app", "-x"});
  const auto path = store->mount_image(id.value(), "view");
  REQUIRE_OK(path);
  auto wanted = describe(temporary / "tree");
  wanted.erase("data/socket");
  CHECK(describe(path.value()) == wanted);
  CHECK(sys::fstatat(AT_FDCWD, path.value() + "/data/a", 0).value().st_nlink == 2);
  CHECK(write_atomically(AT_FDCWD, path.value() + "/x", "").error().os_errno() == EROFS);
  CHECK_OK(store->unmount_image("view"));
  CHECK_FALSE(path_exists(path.value()));
}

TEST_CASE("find: by tag, short name, id, hex and unique prefix; unknown is nothing") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  const auto store = open_store(temporary / "store");
  const auto one = store->import(write(temporary / "1.tar", tar_of(file("a", "1"))), "one");
  const auto two = store->import(write(temporary / "2.tar", tar_of(file("a", "2"))), "example.com/x/two:v2");
  REQUIRE_OK(one);
  REQUIRE_OK(two);
  const auto id_of = [&](const std::string& reference) {
    const auto found = store->find(reference);
    return !found.has_value() ? "error" : found.value().has_value() ? found.value()->id : "nothing";
  };
  for (const auto& reference : {std::string{"one"}, std::string{"docker.io/library/one:latest"}, one.value(), one.value().substr(7), one.value().substr(7, 12)})
    CHECK(id_of(reference) == one.value());
  CHECK(id_of("example.com/x/two:v2") == two.value());
  CHECK(id_of("example.com/x/two") == "nothing");
  CHECK(id_of("three") == "nothing");
  CHECK(id_of("0123456789") == "nothing");
  CHECK(id_of("UPPER/case//") == "error");
  CHECK(store->list().value().size() == 2);
}

TEST_CASE("names: tag moves, untag keeps the image until its last tag, remove takes all") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  const auto store = open_store(temporary / "store");
  const auto one = store->import(write(temporary / "1.tar", tar_of(file("a", "1"))), "one").value();
  const auto two = store->import(write(temporary / "2.tar", tar_of(file("a", "2"))), "two").value();
  CHECK_OK(store->tag("one", "both:x"));
  CHECK_OK(store->tag("two", "both:x"));
  CHECK(store->find("both:x").value()->id == two);
  CHECK(store->find("one").value()->repo_tags == std::vector<std::string>{"docker.io/library/one:latest"});
  CHECK(store->tag("nothing", "x").error().kind() == Kind::not_found);
  CHECK_FALSE(store->tag("one", "x@sha256:" + std::string(64, 'a')).has_value());
  CHECK(store->untag(two.substr(7)).error().to_string().find("has 2 names") != std::string::npos);
  CHECK_OK(store->untag("two"));
  CHECK(store->find("both:x").value()->id == two);
  CHECK_OK(store->untag("both:x"));
  CHECK_FALSE(store->find(two).value().has_value());
  CHECK_OK(store->tag("one", "again"));
  CHECK_OK(store->remove(one));
  CHECK_OK(store->remove(one));
  CHECK(store->list().value().empty());
  CHECK(left_in(temporary / "store").empty());
  CHECK(store->usage().value().used_bytes == 0);
  CHECK(store->usage().value().inodes_used == 0);
}

TEST_CASE("usage is kept in the database; layers that images share count once") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  const auto store = open_store(temporary / "store");
  const auto tar = write(temporary / "1.tar", tar_of(directory("d") + file("d/a", std::string(10000, 'x')) + file("d/b", "1")));
  REQUIRE_OK(store->import(tar, "one"));
  const auto first = store->usage().value();
  CHECK(first.used_bytes == 4096U * 5 + sys::fstatat(AT_FDCWD, tar, 0).value().st_size);
  CHECK(first.inodes_used == 4);
  REQUIRE_OK(store->import_with(tar, "two", {.env = {"OTHER=1"}}));
  CHECK(store->list().value().size() == 2);
  CHECK(store->usage().value().used_bytes == first.used_bytes);
  CHECK_OK(store->remove("one"));
  CHECK(store->usage().value().used_bytes == first.used_bytes);
}

TEST_CASE("a container: own read-write layer over the init layer, idempotent, mounted again after a reboot") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  const auto id = store->import(temporary / "tree", "app").value();
  const auto made = store->prepare_container("c1", id);
  REQUIRE_OK(made);
  const auto& root = made.value().path;
  CHECK(store->prepare_container("c1", id).value().path == root);
  // The init layer masks the image's files and symlinks there and gives places to mount on.
  CHECK(read_file(root + "/etc/hosts").value().empty());
  CHECK(S_ISREG(sys::fstatat(AT_FDCWD, root + "/etc/resolv.conf", AT_SYMLINK_NOFOLLOW).value().st_mode));
  for (const auto* name : {"/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/console", "/etc/hostname"}) CHECK(path_exists(root + name));
  CHECK(describe(made.value().upper_dir).empty());
  write(root + "/data/new", "1");
  REQUIRE_OK(rootfs::detach(root));  // as a reboot
  CHECK_FALSE(path_exists(root + "/data"));
  REQUIRE_OK(store->mount_container("c1"));
  REQUIRE_OK(store->mount_container("c1"));
  CHECK(read_file(root + "/data/new").value() == "1");
  const auto usage = store->container_usage("c1");
  REQUIRE_OK(usage);
  CHECK(usage.value().inodes_used == 2);  // data and data/new
  CHECK(usage.value().used_bytes >= 4096);
  CHECK(store->container_keys().value() == std::vector<std::string>{"c1"});
  CHECK_OK(store->release_container("c1"));
  CHECK_OK(store->release_container("c1"));
  CHECK(store->container_keys().value().empty());
  CHECK_FALSE(path_exists(temporary / "store/containers/c1"));
  CHECK(store->mount_container("c1").error().kind() == Kind::not_found);
  CHECK(store->container_usage("c1").error().kind() == Kind::not_found);
  CHECK(store->prepare_container("../x", id).error().kind() == Kind::invalid);
  CHECK(store->prepare_container("x", "sha256:" + std::string(64, '0')).error().kind() == Kind::not_found);
  CHECK(left_in(temporary / "store/containers").empty());
}

TEST_CASE("huskd's list of containers holds neither bundles nor views; a key serves one image and one use") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  const auto store = open_store(temporary / "store");
  const auto id = store->import(write(temporary / "1.tar", tar_of(file("a", "1"))), "one").value();
  const auto other = store->import(write(temporary / "2.tar", tar_of(file("a", "2"))), "two").value();
  REQUIRE_OK(store->prepare_container("c", id));
  REQUIRE_OK(store->prepare_bundle("b", id));
  REQUIRE_OK(store->mount_image(id, "v"));
  CHECK(store->container_keys().value() == std::vector<std::string>{"c"});
  CHECK(store->prepare_container("c", other).error().kind() == Kind::exists);
  CHECK(store->prepare_container("b", id).error().kind() == Kind::exists);
  CHECK(store->mount_image(id, "c").error().kind() == Kind::exists);
  CHECK(store->commit("v", "x").error().kind() == Kind::not_found);
  REQUIRE_OK(store->commit("b", "x"));
  for (const auto* key : {"c", "b", "v"}) CHECK_OK(store->release_container(key));
  CHECK(left_in(temporary / "store/containers").empty());
}

TEST_CASE("an image in use loses its names at once and its layers when the container is released") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  const auto store = open_store(temporary / "store");
  const auto id = store->import(write(temporary / "1.tar", tar_of(file("a", "1"))), "one").value();
  REQUIRE_OK(store->prepare_container("c", id));
  CHECK_OK(store->remove("one"));
  CHECK(store->list().value().empty());
  CHECK_FALSE(store->find(id).value().has_value());
  CHECK(store->prepare_container("d", id).error().kind() == Kind::not_found);
  CHECK(read_file(store->mount_container("c").value().path + "/a").value() == "1");
  REQUIRE_OK(store->commit("c", "saved"));  // its configuration is still known
  CHECK_OK(store->remove("saved"));
  CHECK_OK(store->release_container("c"));
  CHECK(left_in(temporary / "store").empty());
}

TEST_CASE("commit: changes, whiteouts, opaque directories, links and attributes come back from the new image") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  const auto id = store->import(temporary / "tree", "app").value();
  const auto root = store->prepare_container("c", id).value().path;
  write(root + "/data/new", "n");
  REQUIRE_OK(sys::linkat(AT_FDCWD, root + "/data/new", AT_FDCWD, root + "/data/new2"));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, root + "/data/a"));
  REQUIRE_OK(remove_tree(AT_FDCWD, root + "/data/sub"));
  REQUIRE_OK(make_directories(root + "/data/sub", 0700));
  write(root + "/data/sub/only", "o");
  REQUIRE_OK(sys::lsetxattr(root + "/data/new", "user.note", std::string("\0binary\n", 8)));
  REQUIRE_OK(sys::fchownat(AT_FDCWD, root + "/data/new", 3000000, 7, 0));
  REQUIRE_OK(sys::fchmodat(AT_FDCWD, root + "/data/new", 04711));
  const timespec times[2] = {{5, 0}, {-7, 123456789}};
  REQUIRE_OK(sys::utimensat(AT_FDCWD, root + "/data/new", times, 0));
  auto wanted = describe(root);
  const auto committed = store->commit_with("c", "app:2", {.author = "me", .comment = "why"});
  REQUIRE_OK(committed);
  const auto view = store->mount_image(committed.value(), "v").value();
  // The init layer stays out: the image's own files are there again.
  for (const auto* name : {"proc", "sys", "dev", "dev/pts", "dev/shm", "dev/console", "etc/hostname"}) wanted.erase(name);
  wanted["etc/hosts"] = "f 644 0:0 image's own";
  wanted["etc/resolv.conf"] = "l /proc/self/root/victim";
  CHECK(describe(view) == wanted);
  CHECK(sys::lgetxattr(view + "/data/new", "user.note").value() == std::string("\0binary\n", 8));
  const auto info = sys::fstatat(AT_FDCWD, view + "/data/new", 0).value();
  CHECK(info.st_nlink == 2);
  CHECK(info.st_mtim.tv_sec == -7);
  CHECK(info.st_mtim.tv_nsec == 123456789);
  const auto config = store->config_text(committed.value()).value();
  CHECK(config.find("\"comment\":\"why\"") != std::string::npos);
  CHECK(store->find("app").value()->id == id);
}

TEST_CASE("commit leaves out what the runtime made to mount on, and nothing else") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  TempDir temporary;
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  const auto root = store->prepare_container("c", store->import(temporary / "tree", "app").value()).value().path;
  REQUIRE_OK(make_directories(root + "/mnt/deep/volume"));
  write(root + "/run.sock", "");
  REQUIRE_OK(make_directories(root + "/data/sub/mount"));
  REQUIRE_OK(make_directories(root + "/full"));
  write(root + "/full/x", "kept");
  const std::vector<std::string> targets{"/mnt/deep/volume", "/run.sock", "/data/sub/mount", "/full", "/etc/hosts", "/proc"};
  const auto id = store->commit_with("c", "app:2", {.mount_targets = targets});
  REQUIRE_OK(id);
  const auto tree = describe(store->mount_image(id.value(), "v").value());
  CHECK_FALSE(tree.contains("mnt"));
  CHECK_FALSE(tree.contains("run.sock"));
  CHECK_FALSE(tree.contains("data/sub/mount"));
  CHECK(tree.at("full/x") == "f 644 0:0 kept");
  CHECK(tree.at("data/sub/c") == "f 644 0:0 c");
}

TEST_CASE("commit of nothing adds no layer; commits of the same content are the same bytes") {
  HUSK_NEEDS_ROOT();
  own_mounts();
  ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  TempDir temporary;
  make_tree(temporary / "tree");
  std::vector<std::string> ids;
  std::vector<std::string> empty_ids;
  for (const auto* name : {"store1", "store2"}) {
    const auto store = open_store(temporary / name);
    const auto id = store->import(temporary / "tree", "app").value();
    const auto root = store->prepare_container("c", id).value().path;
    empty_ids.push_back(store->commit("c", "same").value());
    CHECK(store->find("same").value()->layer_chain_ids == store->find("app").value()->layer_chain_ids);
    for (const auto* file : {"/z", "/a", "/data/m"}) write(root + file, file);
    REQUIRE_OK(sys::unlinkat(AT_FDCWD, root + "/data/b"));
    ids.push_back(store->commit("c", "app:2").value());
    CHECK(store->find("app:2").value()->layer_chain_ids.size() == 2);
  }
  ::unsetenv("SOURCE_DATE_EPOCH");
  CHECK(ids[0] == ids[1]);
  CHECK(empty_ids[0] == empty_ids[1]);
  CHECK(ids[0] != empty_ids[0]);
}

TEST_CASE("a store that a newer husk made is refused; a file in its place too") {
  HUSK_NEEDS_ROOT();
  TempDir temporary;
  {
    const auto database = Database::open(temporary / "images.db");
    REQUIRE_OK(database);
    const auto work = [](Connection& connection) { return connection.run("PRAGMA user_version = 99"); };
    REQUIRE_OK(database.value()->write(work));
  }
  const auto newer = open_tools({.root = temporary.path()});
  CHECK(newer.error().kind() == Kind::unsupported);
  CHECK(newer.error().to_string().find("newer husk") != std::string::npos);
  CHECK_FALSE(open_tools({.root = write(temporary / "file", "")}).has_value());
  REQUIRE_OK(remove_tree(AT_FDCWD, temporary / "images.db"));
  write(temporary / "images.db", "this is no database, but long enough to be looked at as one");
  CHECK(open_tools({.root = temporary.path()}).error().to_string().find("damaged") != std::string::npos);
}

TEST_CASE("usage of a container that nests directories deeper than any stack or path") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary{"size=256m,nr_inodes=200k"};
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  const auto id = store->import(temporary / "tree", "app").value();
  const auto made = store->prepare_container("deep", id);
  REQUIRE_OK(made);
  constexpr int kDepth = 60'000;
  auto current = sys::openat(AT_FDCWD, made.value().upper_dir, O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(current);
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE_OK(sys::mkdirat(current.value().get(), "d", 0755));
    auto next = sys::openat(current.value().get(), "d", O_RDONLY | O_DIRECTORY);
    REQUIRE_OK(next);
    current = std::move(next);
  }
  current = Error{Kind::internal, "closed"};
  // As huskd under systemd: descriptors do not run out before the stack does.
  const auto usage = store->container_usage("deep");
  REQUIRE_OK(usage);
  CHECK(usage.value().inodes_used == kDepth);
  CHECK_OK(store->release_container("deep"));
  CHECK_FALSE(path_exists(temporary / "store/containers/deep"));
}

TEST_CASE("who waits for a container while it is released finds it gone, and mounts nothing") {
  HUSK_NEEDS_ROOT();
  TmpfsDir temporary;
  make_tree(temporary / "tree");
  const auto store = open_store(temporary / "store");
  const auto id = store->import(temporary / "tree", "app").value();
  for (int round = 0; round < 5; ++round) {
    REQUIRE_OK(store->prepare_container("c1", id));
    const auto directory = temporary / "store/containers/c1";
    auto held = sys::openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    REQUIRE_OK(held);
    REQUIRE_OK(sys::flock(held.value().get(), LOCK_EX));
    Status released = ok();
    Status mounted = ok();
    std::thread first{[&] { released = store->release_container("c1"); }};
    std::this_thread::sleep_for(std::chrono::milliseconds{30});  // the kernel gives the lock in turn
    std::thread second{[&] {
      const auto made = store->mount_container("c1");
      if (!made.has_value()) mounted = made.error();
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{30});
    held = Error{Kind::internal, "closed"};
    first.join();
    second.join();
    CHECK_OK(released);
    // Whichever came first: nothing is mounted, and no directory is left.
    if (!mounted.has_value()) CHECK(mounted.error().kind() == Kind::not_found);
    CHECK_FALSE(path_exists(directory));
    const auto mount = rootfs::is_mount_point(directory + "/rootfs");
    CHECK_FALSE((mount.has_value() && mount.value()));
    CHECK(store->container_keys().value().empty());
  }
}
