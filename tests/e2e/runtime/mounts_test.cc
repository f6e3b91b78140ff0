// husk mounts add and remove: what comes into a container that is there, what is refused, and what a hostile
// container can make of it.
#include <stdio.h>

#include "bench.h"

using namespace husk;
using namespace husk::test;
using oci::NamespaceType;

namespace {

// A container that sleeps, with a directory of the host's that holds one file.
struct Scene {
  explicit Scene(const Change& change = {}, const std::vector<std::string>& run = {"run", "-d"}) {
    REQUIRE_OK(make_directories(bench.path("volume")));
    REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("volume/file"), "host\n"));
    auto words = run;
    words.insert(words.end(), {"-b", bench.bundle({"/bin/sleep", "1000"}, with_own_rootfs(change)), bench.id()});
    const auto done = bench.husk(words);
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
  }
  // Mount points are made in the rootfs, and the common one is to stay as it is.
  Change with_own_rootfs(const Change& change) {
    rootfs = bench.path("rootfs");
    const auto copied = bench.shell("cp -a " + busybox_rootfs() + " " + rootfs);
    REQUIRE_MESSAGE(copied.status.code == 0, copied.err);
    return [this, change](oci::Spec& spec) {
      spec.root->path = rootfs;
      spec.root->readonly = false;
      if (change) change(spec);
    };
  }
  Output mounts(const std::string& change, const std::string& json) {
    return bench.shell("printf '%s' '" + json + "' | husk mounts " + change + " " + bench.id() + " -");
  }
  std::string volume(const std::string& destination, const std::string& options = "\"bind\"") {
    return R"({"destination":")" + destination + R"(","type":"bind","source":")" + bench.path("volume") + R"(","options":[)" + options + "]}";
  }
  std::string inside(const std::string& script) {
    const auto done = bench.husk({"exec", bench.id(), "/bin/sh", "-c", script});
    return done.out + done.err;
  }
  std::string mountinfo() {
    const auto text = read_file(format_text("/proc/{}/mountinfo", bench.pid(bench.id())));
    REQUIRE_OK(text);
    return text.value();
  }

  Bench bench;
  std::string rootfs;
};

void map_ids(oci::Spec& spec) {
  spec.linux.namespaces.push_back({.type = NamespaceType::user});
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux.gid_mappings = spec.linux.uid_mappings;
}

std::string tmpfs(const std::string& destination) { return R"({"destination":")" + destination + R"(","type":"tmpfs","source":"live"})"; }

}  // namespace

TEST_CASE("mounts add: a bind mount and a tmpfs come into a running container, and mounts remove takes them away") {
  REQUIRE_E2E();
  Scene scene;
  const auto before = scene.mountinfo();
  const auto both = "[" + scene.volume("/live/data") + "," + R"({"destination":"tmp/box","type":"tmpfs","source":"live","options":["size=64k","mode=0700","ro"]})" + "]";
  const auto added = scene.mounts("add", both);
  REQUIRE_MESSAGE(added.status.code == 0, added.err);
  CHECK(scene.inside("cat /live/data/file; stat -c %a /tmp/box; touch /tmp/box/x 2>&1 | grep -c Read-only") == "host\n700\n1\n");
  // Known to nobody but the kernel: the state and the config.json of the container are as they were.
  CHECK(!contains(read_file(scene.bench.root() + "/" + scene.bench.id() + "/config.json").value(), "/live/data"));
  const auto removed = scene.mounts("remove", both);
  CHECK_MESSAGE(removed.status.code == 0, removed.err);
  CHECK(scene.mountinfo() == before);
}

TEST_CASE("mounts add: attributes, propagation and tmpcopyup are those of config.json's mounts") {
  REQUIRE_E2E();
  Scene scene;
  REQUIRE(scene.mounts("add", "[" + scene.volume("/a", R"("rbind","rro","nosuid","noexec","rprivate")") + "]").status.code == 0);
  const auto options = scene.inside("grep ' /a ' /proc/self/mountinfo | cut -d' ' -f6");  // and those of the host's /tmp
  for (const auto* option : {"ro,", "nosuid", "noexec"}) CHECK_MESSAGE(contains(options, option), options);
  CHECK(contains(scene.inside("touch /a/x"), "Read-only"));
  REQUIRE(scene.mounts("add", R"([{"destination":"/etc","type":"tmpfs","source":"live","options":["tmpcopyup"]}])").status.code == 0);
  CHECK(contains(scene.inside("ls /etc"), "passwd"));
  const auto bad = scene.mounts("add", "[" + scene.volume("/b", R"("bind","r0")") + "]");
  CHECK(bad.status.code == 1);
  CHECK_MESSAGE(contains(bad.err, "option \"r0\" means nothing on a bind mount"), bad.err);
}

TEST_CASE("mounts add and remove: all of the list or nothing") {
  REQUIRE_E2E();
  Scene scene;
  const auto before = scene.mountinfo();
  const auto failing = scene.mounts("add", "[" + scene.volume("/one") + "," + tmpfs("/two") + "," + scene.volume("/etc/passwd") + "]");
  CHECK(failing.status.code == 1);
  CHECK_MESSAGE(contains(failing.err, R"("/2": mount)"), failing.err);
  CHECK(scene.mountinfo() == before);
  REQUIRE(scene.mounts("add", "[" + tmpfs("/one") + "," + tmpfs("/one/two") + "]").status.code == 0);
  const auto with = scene.mountinfo();
  const auto refused = scene.mounts("remove", "[" + tmpfs("/one") + "," + tmpfs("/bin") + "]");
  CHECK(refused.status.code == 1);
  CHECK_MESSAGE(contains(refused.err, "\"/bin\" is no mount point in the container"), refused.err);
  CHECK(scene.mountinfo() == with);
  // The second one of a pair is gone when its turn comes: the first is put back.
  const auto twice = scene.mounts("remove", "[" + tmpfs("/one/two") + "," + tmpfs("/one/two") + "]");
  CHECK(twice.status.code == 1);
  CHECK(scene.inside("grep -c ' /one/two ' /proc/self/mountinfo") == "1\n");
  CHECK(scene.mounts("remove", "[" + tmpfs("/one/two") + "," + tmpfs("/one") + "]").status.code == 0);
  CHECK(scene.mountinfo() == before);
}

TEST_CASE("mounts add and remove refuse what cannot be done to a container that is there, by name") {
  REQUIRE_E2E();
  Scene scene;
  const auto before = scene.mountinfo();
  struct Row {
    const char* change;
    std::string json;
    const char* text;
  };
  const std::vector<Row> rows{
      {"add", R"([{"destination":"/p","type":"proc","source":"proc"}])", "own pid namespace"},
      {"add", R"([{"destination":"/proc/sys","type":"tmpfs","source":"t"}])", "inside /proc, which no mount may cover"},
      {"add", R"([{"destination":"/","type":"tmpfs","source":"t"}])", "cannot be a destination"},
      {"add", R"([{"destination":"/tmp","options":["remount","ro"]}])", "a mount that is there cannot be changed"},
      {"add", R"([{"destination":"/x","type":"bind","source":"/nowhere","options":["bind"]}])", "does not exist on the host"},
      {"add", R"({"destination":"/x"})", "must be an array, not object"},
      {"add", R"([{"type":"tmpfs"}])", "required property \"destination\" is missing"},
      {"add", "[", "JSON"},
      {"remove", R"([{"destination":"/proc/kcore"}])", "keeps its mounts"},
      {"remove", R"([{"destination":"/"}])", "keeps its mounts"},
      {"remove", R"([{"destination":"/nowhere"}])", "No such file or directory"},
      {"empty", "[]", "neither add nor remove"}};
  for (const auto& row : rows) {
    CAPTURE(row.json);
    const auto done = scene.mounts(row.change, row.json);
    CHECK(done.status.code == 1);
    const bool named = contains(done.err, row.text) || contains(to_lower(done.err), to_lower(row.text));
    CHECK_MESSAGE(named, done.err);
  }
  CHECK(scene.mountinfo() == before);
  CHECK(scene.bench.husk({"kill", scene.bench.id(), "9"}).status.code == 0);
  REQUIRE(eventually([&] { return scene.bench.status(scene.bench.id()) == "stopped"; }));
  CHECK(contains(scene.mounts("add", "[" + tmpfs("/x") + "]").err, "container not running"));
  CHECK(contains(scene.bench.husk({"mounts", "add", "nobody", "/dev/null"}).err, "JSON"));
}

TEST_CASE("mounts add: into created and paused containers, and into one made with --no-pivot") {
  REQUIRE_E2E();
  {
    Scene scene{{}, {"create"}};
    CHECK(scene.mounts("add", "[" + scene.volume("/live") + "]").status.code == 0);
    CHECK(contains(scene.mountinfo(), " /live "));
  }
  {
    Scene scene;
    REQUIRE(scene.bench.husk({"pause", scene.bench.id()}).status.code == 0);
    const auto done = scene.mounts("add", "[" + scene.volume("/live") + "]");
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK(scene.bench.status(scene.bench.id()) == "paused");
    REQUIRE(scene.bench.husk({"resume", scene.bench.id()}).status.code == 0);
    CHECK(scene.inside("cat /live/file") == "host\n");
  }
  {
    Scene scene{{}, {"run", "-d", "--no-pivot"}};
    CHECK(scene.mounts("add", "[" + scene.volume("/live") + "]").status.code == 0);
    CHECK(scene.inside("cat /live/file") == "host\n");
    CHECK(scene.mounts("remove", "[" + scene.volume("/live") + "]").status.code == 0);
  }
}

TEST_CASE("mounts add: a user-namespaced container gets idmapped volumes and a tmpfs of its own root") {
  REQUIRE_E2E();
  Scene scene{[](oci::Spec& spec) { map_ids(spec); }, {"create"}};
  REQUIRE_OK(sys::fchownat(AT_FDCWD, scene.rootfs, 100000, 100000, 0));
  REQUIRE(scene.bench.husk({"start", scene.bench.id()}).status.code == 0);
  const auto done = scene.mounts("add", "[" + scene.volume("/mapped", R"("bind","idmap")") + "," + scene.volume("/plain") + "," + tmpfs("/box") + "]");
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(scene.inside("stat -c %u /mapped/file /plain/file /box; touch /box/x && echo made") == "0\n65534\n0\nmade\n");
  CHECK(scene.mounts("remove", "[" + tmpfs("/mapped") + "," + tmpfs("/plain") + "," + tmpfs("/box") + "]").status.code == 0);
}

TEST_CASE("copy-symlink, src-nofollow and dest-nofollow: in config.json as podman sends them, and in features") {
  REQUIRE_E2E();
  Scene scene{[](oci::Spec& spec) {
    const auto volume = spec.root->path + "/../volume";
    REQUIRE_OK(sys::symlinkat("file", AT_FDCWD, volume + "/link"));
    REQUIRE_OK(sys::symlinkat("passwd", AT_FDCWD, spec.root->path + "/etc/alias"));
    // podman run --mount type=bind,…,no-dereference
    spec.mounts.push_back({.destination = "/new/copied", .type = "bind", .source = volume + "/link", .options = {"copy-symlink", "rbind", "rprivate"}});
    spec.mounts.push_back({.destination = "/new/bound", .type = "bind", .source = volume + "/link", .options = {"bind", "src-nofollow"}});
    spec.mounts.push_back({.destination = "/etc/alias", .type = "bind", .source = volume + "/file", .options = {"bind", "dest-nofollow"}});
  }};
  CHECK(scene.inside("readlink /new/copied; readlink /new/bound; cat /etc/alias; head -n 1 /etc/passwd | cut -c 1-5; for p in /new/copied /new/bound /etc/alias; do grep -c \" $p \" /proc/self/mountinfo; done") ==
        "file\nfile\nhost\nroot:\n0\n1\n1\n");
  const auto known = scene.bench.husk({"features"}).out;
  for (const auto* option : {"\"copy-symlink\"", "\"src-nofollow\"", "\"dest-nofollow\""}) CHECK_MESSAGE(contains(known, option), known);
}

TEST_CASE("mounts add and remove: links are copied, mounted and mounted on as create does, all of them or none") {
  REQUIRE_E2E();
  Scene scene;
  REQUIRE_OK(sys::symlinkat("file", AT_FDCWD, scene.bench.path("volume/link")));
  REQUIRE_OK(sys::symlinkat("passwd", AT_FDCWD, scene.rootfs + "/etc/alias"));
  const auto before = scene.mountinfo();
  const auto one = [&](const char* source, const char* destination, const char* option) {
    return std::string{R"({"destination":")"} + destination + R"(","type":"bind","source":")" + scene.bench.path("volume/") + source + R"(","options":["bind",")" + option + R"("]})";
  };
  const auto list = one("link", "/copied", "copy-symlink") + "," + one("link", "/bound", "src-nofollow") + "," + one("file", "/etc/alias", "dest-nofollow");
  const auto failing = scene.mounts("add", "[" + list + "," + scene.volume("/etc/passwd") + "]");
  CHECK(failing.status.code == 1);
  CHECK(scene.mountinfo() == before);
  CHECK(scene.inside("readlink /copied") == "");
  const auto added = scene.mounts("add", "[" + list + "]");
  REQUIRE_MESSAGE(added.status.code == 0, added.err);
  CHECK(scene.inside("readlink /copied; readlink /bound; cat /etc/alias") == "file\nfile\nhost\n");
  const auto other = scene.mounts("add", "[" + one("link", "/etc/passwd", "copy-symlink") + "]");
  CHECK_MESSAGE(contains(other.err, "and no symbolic link is there already"), other.err);
  // The second fails, so the mounted link comes back: onto its own place.
  const auto refused = scene.mounts("remove", R"([{"destination":"/bound"},{"destination":"/bound"}])");
  CHECK(refused.status.code == 1);
  CHECK(scene.inside("readlink /bound") == "file\n");
  const auto removed = scene.mounts("remove", R"([{"destination":"/bound"},{"destination":"/etc/alias"}])");
  CHECK_MESSAGE(removed.status.code == 0, removed.err);
  CHECK(scene.mountinfo() == before);
  CHECK(scene.inside("readlink /etc/alias; readlink /copied") == "passwd\nfile\n");
}

TEST_CASE("mounts add: links of a hostile container that change all the time never lead to the host") {
  REQUIRE_E2E();
  Scene scene;
  const auto outside = scene.bench.path("outside");
  REQUIRE_OK(make_directories(outside));
  // In the container's own file system, by a process of its own: a directory and a link to a place of the host's.
  const auto racer = scene.bench.start({"exec", scene.bench.id(), "/bin/sh", "-c",
                                        "mkdir -p /race/target; cd /race; while :; do mv target kept; ln -s ../../../.." + outside +
                                            " target; rm target; mv kept target; done"}, {});
  REQUIRE(eventually([&] { return path_exists(scene.rootfs + "/race"); }));
  for (int i = 0; i < 25; ++i) {
    const auto list = "[" + scene.volume("/race/target") + "," + scene.volume("/race/target/deep/er") + "]";
    const auto added = scene.mounts("add", list);
    const auto removed = scene.mounts("remove", list);
    CHECK((removed.status.code == 0 || !removed.err.empty()));
    REQUIRE(!contains(read_file("/proc/self/mountinfo").value(), outside));
    const auto fd = sys::openat(AT_FDCWD, outside, O_RDONLY | O_DIRECTORY);
    REQUIRE_OK(fd);
    REQUIRE(sys::list_dir(fd.value().get()).value().empty());
  }
}

TEST_CASE("mounts add and remove: a link into a volume that is shared with the host does not mount or unmount there") {
  REQUIRE_E2E();
  // One mount namespace for all, as the host's: the volume is a shared mount of it, with a mount of its own below.
  Bench bench;
  const auto rootfs = bench.path("rootfs");
  REQUIRE_OK(make_directories(bench.path("volume")));
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
    spec.root->path = rootfs;
    spec.root->readonly = false;
    spec.linux.rootfs_propagation = "rshared";
    spec.mounts.push_back({.destination = "/volume", .type = "bind", .source = bench.path("volume"), .options = {"rbind", "rshared"}});
  });
  REQUIRE(bench.shell("cp -a " + busybox_rootfs() + " " + rootfs + " && ln -s volume/sub " + rootfs + "/link").status.code == 0);
  const auto volume = bench.path("volume");
  const auto script = "husk() { " + husk_binary() + " --root " + bench.root() + " \"$@\"; }\nset -e\nmount -t tmpfs v " + volume + "\nmount --make-shared " + volume + "\nmkdir " + volume +
                      "/sub\nmount -t tmpfs s " + volume + "/sub\nbefore=$(cat /proc/self/mountinfo)\nhusk run -d -b " + bundle + " " + bench.id() + "\n"
                      "for change in add remove; do printf '%s' '[{\"destination\":\"/link/x\",\"type\":\"tmpfs\",\"source\":\"t\"},"
                      "{\"destination\":\"/link\",\"type\":\"tmpfs\",\"source\":\"t\"}]' | husk mounts $change " + bench.id() + " - && echo changed\ndone\n"
                      "[ \"$before\" = \"$(cat /proc/self/mountinfo)\" ] && echo same\n";
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("script"), script));
  const auto done = bench.shell("exec unshare -m --propagation private sh " + bench.path("script"));
  const auto said = done.out + done.err;
  CHECK_MESSAGE(done.out == "same\n", said);
  CHECK_MESSAGE(contains(done.err, "shared with the host"), done.err);
}
