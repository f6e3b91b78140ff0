// A checkpoint or a restore that fails leaves container, cgroup, mounts and files as they were.
#include <fcntl.h>

#include "frozen.h"

namespace husk::test {
namespace {

// Goes on, with nothing changed beside the image directory.
void check_unharmed(Counter& counter, const std::string& before) {
  CHECK(counter.bench.status(counter.id) == "running");
  CHECK(counts_beyond(counter.bench, counter.id, count_in(counter.bench, counter.id) + 2));
  CHECK(eventually([&] { return counter.bench.world() == before; }));
  CHECK_WORLD(counter.bench, before);
}

// A script with a small disk at `directory`, in a mount namespace of its own.
Output with_small_disk(Bench& bench, const std::string& directory, const std::string& options, const std::string& script) {
  REQUIRE_OK(make_directories(directory));
  return bench.shell(R"(unshare --mount --propagation private sh -c 'husk() { eval "$HUSK_LINE" "\"\$@\""; }; mount -t tmpfs -o )" + options +
                     " tmpfs " + directory + "; " + script + "'");
}

TEST_CASE("checkpoint: an image path that cannot be, and a full disk, are errors, and the container runs on") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  const auto before = bench.world();
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("file"), "x"));
  for (const auto& path : {bench.path("file"), bench.path("file/below"), bench.path("no/such"), std::string{"/proc/none"}}) {
    CAPTURE(path);
    counter.image = path;
    CHECK_REFUSED(counter.save(), "--image-path");
    check_unharmed(counter, before);
  }
  CHECK_REFUSED(counter.save({"--work-path", bench.path("no/such")}), "--image-path");
  for (const auto* size : {"4k", "64k", "300k"}) {
    CAPTURE(std::string{size});
    const auto full = bench.path(std::string{"full"} + size);
    const auto done = with_small_disk(bench, full, "size=" + std::string{size} + ",nr_inodes=100",
                                      "head -c 16k /dev/zero >" + full + "/filler; husk checkpoint --image-path " + full + " " + counter.id + "; code=$?; ls " + full + "; exit $code");
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "No space left"), done.err);
    CHECK(!contains(done.out, "husk-checkpoint.json"));
    check_unharmed(counter, before);
  }
  counter.image = bench.path("image");
  REQUIRE_DONE(counter.save());
}

TEST_CASE("restore: an image with a file that is missing, cut off or garbage is an error, and the stopped container stays") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE(bench.status(counter.id) == "stopped");
  const auto good = counter.image;
  counter.image = bench.path("bad");
  const auto listed = bench.shell("cd " + good + " && ls inventory.img pstree.img core-1.img mm-1.img pagemap-1.img pages-1.img mountpoints-*.img files.img tmpfs-*").out;
  const auto names = split(trim(listed), '\n');
  REQUIRE(names.size() >= 8);
  const auto config = read_file(bench.root() + "/" + counter.id + "/config.json");
  for (const auto name : names) {
    for (const auto* spoil : {"rm \"$f\"", "truncate -s 10 \"$f\"", "head -c 5000 /dev/urandom >\"$f\""}) {
      CAPTURE(std::string{name});
      CAPTURE(std::string{spoil});
      REQUIRE(bench.shell("rm -rf " + counter.image + "; cp -a " + good + " " + counter.image + "; f=" + counter.image + "/" + std::string{name} + "; " + spoil).status.code == 0);
      const auto done = counter.restore();
      // Random bytes of memory are memory; CRIU goes without some files.
      if (done.status.code == 0) {
        CHECK((name.starts_with("pages-") || name.starts_with("tmpfs-")));
        (void)bench.husk({"kill", counter.id, "KILL"});
        CHECK(eventually([&] { return bench.status(counter.id) == "stopped"; }));
        continue;
      }
      CHECK_MESSAGE((contains(done.err, "CRIU") || contains(done.err, name)), done.err);
      CHECK(bench.status(counter.id) == "stopped");
      CHECK(read_file(bench.root() + "/" + counter.id + "/config.json").value() == config.value());
    }
  }
  counter.image = good;
  REQUIRE_DONE(counter.restore());
  CHECK(counts_beyond(bench, counter.id, 2));
}

TEST_CASE("restore: nothing is left of one whose CRIU is killed, or whose disk is full") {
  REQUIRE_CRIU();
  Bench bench;
  Counter counter{bench};
  REQUIRE_DONE(counter.save());
  REQUIRE_DONE(bench.husk({"delete", counter.id}));
  const auto before = bench.world();
  const auto bin = bench.path("bin");
  REQUIRE_OK(make_directories(bin));
  const auto restore = "husk restore -d -b " + counter.bundle + " --image-path " + counter.image;
  for (const auto* delay : {"0", "0.01", "0.02", "0.03", "0.05"}) {
    CAPTURE(std::string{delay});
    REQUIRE_OK(write_atomically(AT_FDCWD, bin + "/criu", std::string{"#!/bin/sh\n[ $1 != check ] || exit 0\n(sleep "} + delay + "; kill -9 $$) &\nexec /usr/sbin/criu \"$@\"\n", 0755));
    const auto done = bench.shell("PATH=" + bin + ":$PATH; export PATH; " + restore + " " + counter.id);
    CHECK(done.status.code == 1);
    CHECK(eventually([&] { return bench.world() == before; }));
    CHECK_WORLD(bench, before);
  }
  const auto full = with_small_disk(bench, bench.path("full"), "size=4k,nr_inodes=1", restore + " --work-path " + bench.path("full") + " " + counter.id);
  CHECK(full.status.code == 1);
  CHECK_MESSAGE(contains(full.err, "CRIU"), full.err);
  CHECK_WORLD(bench, before);
  REQUIRE_DONE(counter.restore());
}

TEST_CASE("restore: the image of another container is refused by its mounts") {
  REQUIRE_CRIU();
  Bench bench;
  const auto outside = bench.path("outside");
  REQUIRE_OK(make_directories(outside));
  Counter counter{bench, [&](oci::Spec& spec) { spec.mounts.push_back(bind_with(outside, "/home", {"ro"})); }};
  REQUIRE_DONE(counter.save());
  const auto before = bench.world();
  counter.bundle = bench.bundle({"/bin/subject", "memory", "1"}, with_tmp);
  CHECK_REFUSED(counter.restore(), "another config.json");
  CHECK(bench.status(counter.id) == "stopped");
  CHECK_WORLD(bench, before);
}

TEST_CASE("restore says in one line what to do: without an image, with an empty one, with no image, without CRIU") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.shell_bundle("true");
  const auto empty = bench.path("empty");
  REQUIRE_OK(make_directories(empty));
  const auto before = bench.world();
  const auto hint = "it must be an image that husk checkpoint has written to its end";
  const auto none = bench.shell("cd " + bench.path("") + " && husk restore -d -b " + bundle + " " + bench.id());
  CHECK(none.status.code == 1);
  CHECK_MESSAGE((contains(none.err, "--image-path") && contains(none.err, "checkpoint\"") && contains(none.err, hint)), none.err);
  CHECK_REFUSED(bench.husk({"restore", "-d", "-b", bundle, "--image-path", empty, bench.id()}), hint);
  CHECK_REFUSED(bench.husk({"restore", "-d", "-b", bundle, "--image-path", busybox_rootfs() + "/etc", bench.id()}), hint);
  CHECK_REFUSED(bench.husk({"restore", "-d", "-b", bundle, "--image-path", bundle + "/config.json", bench.id()}), hint);
  CHECK_REFUSED(bench.husk({"restore", "-d", "-b", bundle, "--image-path", "", bench.id()}), "--image-path is empty");
  CHECK_WORLD(bench, before);
  if (has_criu()) HUSK_SKIP("CRIU is installed: what is said without it cannot be seen");
  REQUIRE_OK(write_atomically(AT_FDCWD, empty + "/husk-checkpoint.json",
                              R"({"mounts":[],"destinations":[],"masks":[],"maskedDirectories":[],"devices":[],"hierarchies":[],"stdio":["","",""]})"));
  CHECK_REFUSED(bench.husk({"restore", "-d", "-b", bundle, "--image-path", empty, bench.id()}), "install the package criu");
  CHECK_WORLD(bench, before);
}

}  // namespace
}  // namespace husk::test
