// husk checkpoint and restore with the real CRIU. Debian 12 has no package of it, so most of this runs in the root of
// tests/callers (tests/callers/checkpoint) and in the machine of tests/vm (--full); the error paths run everywhere.
#include <algorithm>

#include "frozen.h"

namespace husk::test {
namespace {

// What the container sees mounted, without the numbers that differ from one mount to the next.
std::string mounts_of(Bench& bench, const std::string& id) {
  const auto text = read_file(format_text("/proc/{}/mountinfo", bench.pid(id)));
  REQUIRE_OK(text);
  std::vector<std::string> lines;
  for (const auto line : split(text.value(), '\n')) {
    const auto words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 7 || dash == words.end()) continue;
    const auto type = *(dash + 1);
    // Of cgroups the part of the tree counts too: all of it would be the host's.
    lines.push_back(format_text("{} {} {} {}", words[4], words[5], type, type.starts_with("cgroup") ? words[3] : ""));
  }
  std::ranges::sort(lines);
  return join(lines, "\n");
}

TEST_CASE("checkpoint: the counter goes on after restore, in its cgroup and with its mounts") {
  REQUIRE_CRIU();
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto outside = bench.path("outside");
    REQUIRE_OK(make_directories(outside));
    Counter counter{bench, [&](oci::Spec& spec) {
                      spec.mounts.push_back(bind_with(outside, "/closed", {"ro", "nosuid", "nodev"}));
                      spec.mounts.push_back(bind_with(outside, "/open", {"rw"}));
                      spec.linux.masked_paths = {"/proc/kcore", "/proc/acpi", "/proc/keys"};
                      spec.linux.readonly_paths = {"/proc/sys"};
                    }};
    const auto mounts = mounts_of(bench, counter.id);
    REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", counter.image, counter.id}));
    CHECK(bench.status(counter.id) == "stopped");
    REQUIRE_DONE(bench.husk({"delete", counter.id}));
    const auto pid_file = bench.path("pid");
    REQUIRE_DONE(bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, "--pid-file", pid_file, counter.id}));
    CHECK(bench.status(counter.id) == "running");
    CHECK(read_file(pid_file).value() == std::to_string(bench.pid(counter.id)));
    const int first = count_in(bench, counter.id);
    CHECK(first > 2);
    CHECK(counts_beyond(bench, counter.id, first + 2));
    CHECK(mounts_of(bench, counter.id) == mounts);
    const auto group = read_file(format_text("/proc/{}/cgroup", bench.pid(counter.id)));
    CHECK_MESSAGE(contains(group.value(), "/husk-e2e/"), group.value());
    const auto written = bench.husk({"exec", counter.id, "/bin/sh", "-c", "! touch /closed/x && touch /open/y"});
    check_ok(written);
    CHECK(!path_exists(outside + "/x"));
    CHECK(path_exists(outside + "/y"));
    check_ok(bench.husk({"delete", "--force", counter.id}));
  }
}

TEST_CASE("checkpoint --leave-running: the container goes on, and the image is of then") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const int pid = bench.pid(counter.id);
  REQUIRE_DONE(bench.husk({"checkpoint", "--leave-running", "--image-path", counter.image, counter.id}));
  CHECK(bench.status(counter.id) == "running");
  CHECK(bench.pid(counter.id) == pid);
  const int now = count_in(bench, counter.id);
  CHECK(counts_beyond(bench, counter.id, now + 2));
  REQUIRE_DONE(bench.husk({"pause", counter.id}));
  REQUIRE_DONE(bench.husk({"checkpoint", "--leave-running", "--image-path", bench.path("second"), counter.id}));
  CHECK(bench.status(counter.id) == "paused");
}

TEST_CASE("checkpoint --pre-dump, then one with its parent; a stopped container makes room for restore") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto first = bench.husk({"checkpoint", "--pre-dump", "--image-path", bench.path("pre"), counter.id});
  if (contains(first.err, "Tracking memory is not available")) HUSK_SKIP("the kernel does not track memory");
  REQUIRE_MESSAGE(first.status.code == 0, first.err);
  CHECK(bench.status(counter.id) == "running");
  const int now = count_in(bench, counter.id);
  CHECK(counts_beyond(bench, counter.id, now));
  CHECK(bench.husk({"checkpoint", "--parent-path", "../nowhere", "--image-path", counter.image, counter.id}).status.code == 1);
  CHECK(bench.husk({"checkpoint", "--parent-path", bench.path("pre"), "--image-path", counter.image, counter.id}).status.code == 1);
  REQUIRE_DONE(bench.husk({"checkpoint", "--parent-path", "../pre", "--image-path", counter.image, counter.id}));
  CHECK(path_exists(counter.image + "/parent"));
  REQUIRE_DONE(bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id}));
  CHECK(counts_beyond(bench, counter.id, now + 1));
}

TEST_CASE("restore in the foreground: the exit code is the program's, and nothing is left") {
  REQUIRE_CRIU();
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.shell_bundle("while ! [ -e /tmp/end ]; do sleep 0.05; done; exit 7", with_tmp);
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bundle, bench.id()}));
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()}));
  auto child = bench.start({"restore", "-b", bundle, "--image-path", bench.path("image"), bench.id()}, {});
  REQUIRE(eventually([&] { return bench.husk({"exec", bench.id(), "/bin/touch", "/tmp/end"}).status.code == 0; }));
  const auto ended = child.wait();
  REQUIRE_OK(ended);
  CHECK(ended.value().code == 7);
  CHECK_WORLD(bench, before);
}

TEST_CASE("restore: prestart and createRuntime hooks run again, with the new pid") {
  REQUIRE_CRIU();
  Bench bench;
  const auto log = bench.path("hooks");
  Counter counter{bench, [&](oci::Spec& spec) {
                    spec.hooks.create_runtime.push_back({.path = "/bin/sh", .args = {"sh", "-c", "cat >>" + log}});
                  }};
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", counter.image, counter.id}));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, log));
  REQUIRE_DONE(bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id}));
  const auto state = read_file(log);
  REQUIRE_OK(state);
  CHECK_MESSAGE(contains(state.value(), format_text("\"pid\":{}", bench.pid(counter.id))), state.value());
}

// CVE-2026-115520, CVE-2026-119101, CVE-2026-119614: the text of a mount point reaches CRIU's own syntax.
TEST_CASE("CVE-2026-115520: a destination with \"]:\" is refused, by name or behind a link, and the container runs on") {
  REQUIRE_CRIU();
  Bench bench;
  const auto outside = bench.path("outside");
  REQUIRE_OK(make_directories(outside));
  for (const auto* destination : {"/tmp/a]:/etc", "/tmp/link"}) {
    CAPTURE(destination);
    const auto id = bench.id("m" + std::to_string(std::string{destination}.size()));
    const auto root = bench.path("root" + id);
    REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + root + "; mkdir -p '" + root + "/x]:'; ln -s '/x]:' " + root + "/link").status.code == 0);
    const auto bundle = bench.shell_bundle("sleep 100", [&](oci::Spec& spec) {
      spec.root->path = root;
      spec.mounts.push_back(bind_with(outside, std::string{destination} == "/tmp/link" ? "/link" : destination, {"ro"}));
    });
    REQUIRE_DONE(bench.husk({"run", "-d", "-b", bundle, id}));
    const auto done = bench.husk({"checkpoint", "--image-path", bench.path("image" + id), id});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "which CRIU would misread"), done.err);
    CHECK(bench.status(id) == "running");
    CHECK(!path_exists(bench.path("image" + id) + "/husk-checkpoint.json"));
  }
}

TEST_CASE("checkpoint: a copied link is no mount and is there after restore; mounts that CRIU would put elsewhere are refused") {
  REQUIRE_CRIU();
  Bench bench;
  const auto outside = bench.path("outside");
  const auto root = bench.path("root");
  REQUIRE(bench.shell("mkdir " + outside + "; ln -s /data " + outside + "/link; cp -a " + busybox_rootfs() + " " + root).status.code == 0);
  const auto writable = [&](oci::Spec& spec) {
    spec.root->path = root;
    spec.root->readonly = false;
    spec.mounts.push_back(bind_with(outside, "/data", {"rw"}));
  };
  Counter counter{bench, [&](oci::Spec& spec) {
                    writable(spec);
                    spec.mounts.push_back(bind_with(outside + "/link", "/copied", {"copy-symlink"}));
                  }};
  const auto mounts = mounts_of(bench, counter.id);
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", counter.image, counter.id}));
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, root + "/copied"));
  REQUIRE_DONE(bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id}));
  CHECK(mounts_of(bench, counter.id) == mounts);
  check_ok(bench.husk({"exec", counter.id, "/bin/sh", "-c", "[ $(readlink /copied) = /data ] && touch /copied/x"}));
  CHECK(path_exists(outside + "/x"));
  const auto id = bench.id("nofollow");
  const auto bundle = bench.shell_bundle("sleep 100", [&](oci::Spec& spec) {
    writable(spec);
    spec.mounts.push_back(bind_with(outside + "/link", "/bound", {"src-nofollow"}));
  });
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bundle, id}));
  const auto done = bench.husk({"checkpoint", "--image-path", bench.path("image-nofollow"), id});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "CRIU would follow a symbolic link at \"/bound\""), done.err);
  CHECK(bench.status(id) == "running");
}

TEST_CASE("CVE-2026-119101: a container that moves its mount points gets nothing writable that was not") {
  REQUIRE_CRIU();
  Bench bench;
  const auto closed = bench.path("closed");
  const auto open = bench.path("open");
  const auto root = bench.path("root");
  REQUIRE(bench.shell("mkdir " + closed + " " + open + "; cp -a " + busybox_rootfs() + " " + root + "; mkdir -p " + root +
                      "/one/data " + root + "/two/data").status.code == 0);
  const auto id = bench.id();
  const auto bundle = bench.shell_bundle("mv /one /three; mv /two /one; mv /three /two; echo done >/moved; sleep 100", [&](oci::Spec& spec) {
    spec.root->path = root;
    spec.root->readonly = false;
    spec.mounts.push_back(bind_with(closed, "/one/data", {"ro"}));
    spec.mounts.push_back(bind_with(open, "/two/data", {"rw"}));
  });
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bundle, id}));
  REQUIRE(eventually([&] { return path_exists(root + "/moved"); }));
  const auto saved = bench.husk({"checkpoint", "--image-path", bench.path("image"), id});
  if (saved.status.code != 0) {
    CHECK(bench.status(id) == "running");
    return;
  }
  const auto restored = bench.husk({"restore", "-d", "-b", bundle, "--image-path", bench.path("image"), id});
  if (restored.status.code == 0)
    (void)bench.husk({"exec", id, "/bin/sh", "-c", "touch /one/data/x /two/data/x"});
  CHECK(!path_exists(closed + "/x"));
}

TEST_CASE("restore: nothing is left when it fails, and the reason is CRIU's own") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", counter.image, counter.id}));
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto before = bench.world();
  REQUIRE_OK(sys::renameat2(AT_FDCWD, counter.image + "/inventory.img", AT_FDCWD, counter.image + "/away"));
  const auto failed = bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id});
  CHECK(failed.status.code == 1);
  CHECK_MESSAGE(contains(failed.err, "restore.log"), failed.err);
  CHECK_MESSAGE(contains(failed.err, "CRIU failed: "), failed.err);
  CHECK_WORLD(bench, before);
  REQUIRE_OK(sys::renameat2(AT_FDCWD, counter.image + "/away", AT_FDCWD, counter.image + "/inventory.img"));
  for (const auto* step : {"restore-reserve", "restore-namespaces", "restore-check", "restore-commit"}) {
    CAPTURE(step);
    const auto again = bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id},
                                  {std::string{"HUSK_FAIL_AT="} + step});
    CHECK(again.status.code == 1);
    CHECK_WORLD(bench, before);
  }
  check_ok(bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id}));
  CHECK(counts_beyond(bench, counter.id, 3));
}

TEST_CASE("restore: a husk that is killed in the middle leaves what delete --force removes") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(bench.husk({"checkpoint", "--image-path", counter.image, counter.id}));
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto before = bench.world();
  for (const auto* step : {"restore-reserve", "restore-namespaces", "restore-check", "restore-commit"}) {
    CAPTURE(step);
    const auto killed = bench.husk({"restore", "-d", "-b", counter.bundle, "--image-path", counter.image, counter.id},
                                   {std::string{"HUSK_KILL_AT="} + step});
    CHECK(killed.status.code == 137);
    check_ok(bench.husk({"delete", "--force", counter.id}));
    CHECK(eventually([&] { return bench.world() == before; }));
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("restore refuses an image of another config.json and one that is no image") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("true");
  REQUIRE_OK(make_directories(bench.path("image")));
  const auto none = bench.husk({"restore", "-d", "-b", bundle, "--image-path", bench.path("image"), bench.id()});
  CHECK(none.status.code == 1);
  CHECK_MESSAGE(contains(none.err, "husk checkpoint"), none.err);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("image") + "/husk-checkpoint.json",
                              R"({"mounts":[3],"destinations":["/nowhere"],"masks":[],"maskedDirectories":[],"devices":[],"hierarchies":[],"stdio":["","",""]})"));
  const auto other = bench.husk({"restore", "-d", "-b", bundle, "--image-path", bench.path("image"), bench.id()});
  CHECK(other.status.code == 1);
  CHECK_MESSAGE(contains(other.err, "another config.json"), other.err);
}

// A program that is no CRIU, for what the real one does rarely.
std::string fake_criu(Bench& bench, const std::string& script) {
  const auto directory = bench.path("fake");
  REQUIRE_OK(make_directories(directory));
  REQUIRE_OK(write_atomically(AT_FDCWD, directory + "/criu", "#!/bin/sh\n" + script, 0755));
  return directory;
}

TEST_CASE("checkpoint: a CRIU that fails, dies or cannot work here, or a killed husk-criu, leaves the container running") {
  REQUIRE_E2E();
  struct Row {
    std::string script;
    std::string text;
  };
  for (const auto& row : {Row{"exit 1", "CRIU ended without an answer"}, Row{"kill -9 $$", "CRIU ended without an answer"},
                          Row{"kill -9 $PPID", "husk-criu"},
                          Row{"[ \"$1\" != check ] || echo 'Error (criu/x.c:1): Kernel lacks what it needs'; exit 1",
                              "CRIU cannot work on this host: Kernel lacks what it needs"}}) {
    CAPTURE(row.script);
    Bench bench;
    const auto directory = fake_criu(bench, row.script);
    REQUIRE_DONE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 100"), bench.id()}));
    const auto before = bench.world();
    const auto done = bench.shell("PATH=" + directory + ":$PATH; export PATH; husk checkpoint --image-path " + bench.path("image") + " " + bench.id());
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
    CHECK(bench.status(bench.id()) == "running");
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("checkpoint and restore: without CRIU the error names the package") {
  REQUIRE_E2E();
  if (has_criu()) HUSK_SKIP("CRIU is installed");
  Bench bench;
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 100"), bench.id()}));
  const auto done = bench.husk({"checkpoint", "--image-path", bench.path("image"), bench.id()});
  CHECK(done.status.code == 1);
  CHECK_MESSAGE(contains(done.err, "install the package criu"), done.err);
  CHECK(bench.status(bench.id()) == "running");
}

TEST_CASE("checkpoint --parent-path: found beside an image directory that is still to be made, and refused where nothing is") {
  REQUIRE_E2E();
  Bench bench;
  const auto directory = fake_criu(bench, "exit 1");
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 100"), bench.id()}));
  const auto attempt = [&](const std::string& parent) {
    return bench.shell("PATH=" + directory + ":$PATH; export PATH; husk checkpoint --parent-path " + parent + " --image-path " + bench.path("image") + " " + bench.id()).err;
  };
  REQUIRE_OK(make_directories(bench.path("pre")));
  const auto missing = attempt("../nowhere");
  CHECK_MESSAGE(contains(missing, "is no directory"), missing);
  CHECK_FALSE(path_exists(bench.path("image")));
  const auto found = attempt("../pre");
  CHECK_MESSAGE(contains(found, "CRIU ended without an answer"), found);
}

TEST_CASE("a container may be called exec: the verb that names it finds husk-criu, and exec itself works") {
  REQUIRE_E2E();
  Bench bench;
  const auto directory = fake_criu(bench, "exit 1");
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 100"), "exec"}));
  const auto done = bench.shell("PATH=" + directory + ":$PATH; export PATH; husk checkpoint --image-path " + bench.path("image") + " exec");
  CHECK_MESSAGE(contains(done.err, "CRIU ended without an answer"), done.err);
  CHECK(bench.husk({"exec", "exec", "sh", "-c", "exit 7"}).status.code == 7);
  CHECK_FALSE(contains(bench.husk({"exec", "exec", "env"}).out, "HUSK_PROGRAM"));
  REQUIRE_DONE(bench.husk({"delete", "--force", "exec"}));
  CHECK(bench.husk({"list", "-q"}).out.empty());
}

TEST_CASE("checkpoint and restore: what is wrong is said before CRIU runs") {
  REQUIRE_E2E();
  Bench bench;
  REQUIRE_DONE(bench.husk({"create", "-b", bench.shell_bundle("sleep 100"), bench.id()}));
  struct Row {
    std::vector<std::string> words;
    int code;
    std::string text;
  };
  for (const auto& row :
       {Row{{"checkpoint", "--help"}, 0, "--leave-running"}, Row{{"checkpoint", bench.id()}, 1, "cannot be checkpointed in created state"},
        Row{{"checkpoint", "none"}, 1, "does not exist"}, Row{{"checkpoint", "--manage-cgroups-mode", "x", "a"}, 1, "use soft"},
        Row{{"checkpoint", "--network-lock", "x", "a"}, 1, "use iptables"}, Row{{"checkpoint", "--empty-ns", "pid", "a"}, 1, "--empty-ns"},
        Row{{"checkpoint", "--page-server", "1.2.3.4", "a"}, 1, "ADDRESS:PORT"}, Row{{"restore", "--lsm-mount-context"}, 1, "requires an argument"},
        Row{{"restore", "-no-subreaper", "--image-path", "/nonexistent", "-b", "/nonexistent", "a"}, 1, "config.json"}}) {
    CAPTURE(row.text);
    const auto done = bench.husk(row.words);
    CHECK(done.status.code == row.code);
    CHECK_MESSAGE(contains(done.out + done.err, row.text), done.err);
  }
}

}  // namespace
}  // namespace husk::test
