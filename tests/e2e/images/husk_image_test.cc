// husk-image as people use it: import, bundle, run, commit, and what it says when something is wrong.
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>

#include "base/process.h"
#include "harness/harness.h"
#include "oci-spec/json.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr const char* kBusybox = "/bin/busybox";

// Mounts made here, and husk's state below /run, go with the test program.
void own_mounts() {
  static const bool done = [] {
    REQUIRE_OK(sys::unshare(CLONE_NEWNS));
    REQUIRE_OK(sys::mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
    REQUIRE_OK(sys::mount("tmpfs", "/run", "tmpfs", 0, ""));
    return true;
  }();
  (void)done;
}

#define HUSK_NEEDS_MACHINE()                                            \
  if (!is_root()) HUSK_SKIP("needs root");                              \
  if (!path_exists(kBusybox)) HUSK_SKIP("busybox-static is not installed"); \
  own_mounts()

class Scene {
 public:
  Scene() {
    REQUIRE_OK(make_directories(dir_ / "tree/bin"));
    REQUIRE_OK(make_directories(dir_ / "tree/etc"));
    copy(kBusybox, dir_ / "tree/bin/busybox");
    for (const auto* name : {"sh", "cat", "id", "ls", "env", "rm", "mkdir", "sleep", "pwd", "tty", "hostname", "stty"})
      REQUIRE_OK(sys::symlinkat("busybox", AT_FDCWD, dir_ / format_text("tree/bin/{}", name)));
    REQUIRE_OK(write_atomically(AT_FDCWD, dir_ / "tree/etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"));
  }

  Output image(std::vector<std::string> words, const std::vector<std::string>& environment = {}) {
    words.insert(words.begin(), {"husk-image", "--root", dir_ / "store"});
    auto variables = current_environment();
    variables.insert(variables.end(), environment.begin(), environment.end());
    auto output = husk::run({.path = program("husk-image"), .arguments = words, .environment = variables}, 60'000);
    REQUIRE_OK(output);
    return std::move(output).value();
  }
  // Its standard output without the last newline; it must succeed.
  std::string good(const std::vector<std::string>& words) {
    const auto output = image(words);
    REQUIRE_MESSAGE(output.status.code == 0, output.err);
    return output.out.substr(0, output.out.empty() ? 0 : output.out.size() - 1);
  }
  Output husk_program(std::vector<std::string> words) {
    words.insert(words.begin(), "husk");
    auto output = husk::run({.path = program("husk"), .arguments = words}, 60'000);
    REQUIRE_OK(output);
    return std::move(output).value();
  }
  std::string operator/(const std::string& name) const { return dir_ / name; }

  // Mounts below our directory, containers of the store, directories of run: nothing may stay.
  std::string left_behind() {
    std::string text;
    const auto mounts = read_file("/proc/self/mountinfo");
    for (const auto line : split(mounts.value(), '\n'))
      if (line.find(dir_.path()) != std::string_view::npos) text += std::string{line} + "\n";
    for (const auto* name : {"store/containers", "store/tmp", "tmp"}) {
      const auto fd = sys::openat(AT_FDCWD, dir_ / name, O_RDONLY | O_DIRECTORY);
      if (!fd.has_value()) continue;
      const auto entries = sys::list_dir(fd.value().get());
      for (const auto& entry : entries.value()) text += format_text("{}/{}\n", name, entry.name);
    }
    return text;
  }

 private:
  static void copy(const std::string& from, const std::string& to) {
    REQUIRE_OK(write_atomically(AT_FDCWD, to, read_file(from).value(), 0755));
  }
  TempDir dir_;
};

}  // namespace

TEST_CASE("import, list, inspect, tag and rm, for people and as JSON") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  const auto id = scene.good({"import", scene / "tree", "app:1", "--cmd", "sh -c pwd", "-e", "A=1", "--workdir", "/srv", "--user", "web",
                              "--expose", "80", "--label", "k=v"});
  CHECK(id.starts_with("sha256:"));
  const auto table = scene.good({"list"});
  CHECK(table.starts_with("REPOSITORY"));
  CHECK(table.find("docker.io/library/app") != std::string::npos);
  CHECK(table.find(id.substr(7, 12)) != std::string::npos);
  CHECK(scene.good({"list", "-q"}) == id);
  const auto listed = oci::parse_json(scene.good({"list", "--json"}));
  REQUIRE_OK(listed);
  CHECK(*listed.value().as_array()->at(0).find("id")->as_string() == id);
  const auto inspected = oci::parse_json(scene.good({"inspect", "app:1"}));
  REQUIRE_OK(inspected);
  const auto& config = *inspected.value().find("config");
  CHECK(config.find("cmd")->dump() == R"(["sh","-c","pwd"])");
  CHECK(config.find("exposedPorts")->dump() == R"(["80/tcp"])");
  CHECK(config.find("labels")->dump() == R"({"k":"v"})");
  CHECK(scene.good({"inspect", "--config", "app:1"}).find("\"rootfs\"") != std::string::npos);
  scene.good({"tag", "app:1", "example.com/other"});
  scene.good({"rm", "app:1"});
  CHECK(scene.good({"list"}).find("example.com/other") != std::string::npos);
  scene.good({"rm", id});
  CHECK(scene.good({"list", "-q"}).empty());
}

TEST_CASE("run: exit code, arguments, variables, volumes, user, standard input; and nothing is left") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  REQUIRE_OK(make_directories(scene / "tmp"));
  scene.good({"import", scene / "tree", "app", "--cmd", R"(["sh","-c","echo default; exit 7"])", "-e", "PATH=/bin"});
  const std::vector<std::string> environment{"TMPDIR=" + (scene / "tmp")};
  const auto plain = scene.image({"run", "app"}, environment);
  CHECK(plain.status.code == 7);
  CHECK(plain.out == "default\n");
  const auto more = scene.image({"run", "-e", "X=a b", "-v", (scene / "tree/etc") + ":/in:ro", "-w", "/new/dir", "-u", "web", "--hostname",
                                 "box", "app", "sh", "-c", "echo $X; pwd; id -u; id -g; cat /in/passwd; hostname; echo y >/in/z; echo --flag"},
                                environment);
  CHECK(more.out.find("a b\n/new/dir\n33\n34\nroot:x:0:0") == 0);
  CHECK(more.out.find("\nbox\n--flag\n") != std::string::npos);
  CHECK(more.err.find("Read-only file system") != std::string::npos);
  CHECK(scene.image({"run", "app", "nosuchprogram"}, environment).status.code == 125);
  CHECK(scene.image({"run", "app", "sh", "-c", "exit 1"}, environment).status.code == 1);
  CHECK(scene.image({"run", "nosuchimage"}, environment).status.code == 125);
  CHECK(scene.image({"run", "-u", "nobody", "app"}, environment).err.find("the image has no user \"nobody\"") != std::string::npos);
  CHECK(scene.image({"run", "-v", "/nonexistent:/x", "app"}, environment).status.code == 125);
  CHECK(scene.image({"run", "--net", "bridge", "app"}, environment).err.find("none or host") != std::string::npos);
  CHECK(scene.left_behind().empty());
}

TEST_CASE("run keeps /etc/hosts and friends out of the image's hands") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  REQUIRE_OK(sys::symlinkat(scene / "victim", AT_FDCWD, scene / "tree/etc/resolv.conf"));
  REQUIRE_OK(write_atomically(AT_FDCWD, scene / "victim", "untouched"));
  scene.good({"import", scene / "tree", "app"});
  const auto output = scene.image({"run", "--hostname", "box", "app", "/bin/sh", "-c", "cat /etc/hosts /etc/hostname; echo x > /etc/resolv.conf"});
  CHECK(output.status.code == 0);
  CHECK(output.out.find("localhost") != std::string::npos);
  CHECK(output.out.find("127.0.1.1\tbox") != std::string::npos);
  CHECK(read_file(scene / "victim").value() == "untouched");
}

TEST_CASE("the whole way round: import, bundle, husk run, commit, mount, import again") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  scene.good({"import", scene / "tree", "app", "-e", "PATH=/bin"});
  REQUIRE_OK(make_directories(scene / "data"));
  const auto bundle = scene / "bundle";
  CHECK(scene.good({"bundle", "-v", (scene / "data") + ":/mnt/data", "app", bundle, "sh", "-c",
                    "echo new > /new; rm /etc/passwd; mkdir -p /srv/x; echo v > /mnt/data/v"}) == bundle);
  const auto id = "e2e-images-" + random_hex(4);
  const auto ran = scene.husk_program({"run", "--bundle", bundle, id});
  CHECK_MESSAGE(ran.status.code == 0, ran.err);
  CHECK(read_file(scene / "data/v").value() == "v\n");
  const auto committed = scene.good({"commit", "-m", "a message", "--cmd", "cat /new", bundle, "app:2"});
  scene.good({"bundle", "--remove", bundle});
  CHECK_FALSE(path_exists(bundle));
  const auto mounted = scene.good({"mount", "app:2"});
  CHECK(read_file(mounted + "/new").value() == "new\n");
  CHECK_FALSE(path_exists(mounted + "/etc/passwd"));
  for (const auto* absent : {"/mnt", "/proc", "/dev", "/etc/hosts", "/etc/resolv.conf"}) {
    CAPTURE(absent);
    CHECK_FALSE(path_exists(mounted + absent));
  }
  scene.good({"import", mounted, "app:3", "--cmd", "cat /new", "-e", "PATH=/bin"});
  scene.good({"umount", committed});
  CHECK(scene.good({"run", "app:2"}) == "new");
  CHECK(scene.good({"run", "app:3"}) == "new");
  CHECK(scene.left_behind().empty());
}

TEST_CASE("bundle refuses a directory in use and undoes what it began") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  scene.good({"import", scene / "tree", "app"});
  REQUIRE_OK(make_directories(scene / "full/x"));
  CHECK(scene.image({"bundle", "app", scene / "full", "sh"}).err.find("is not empty") != std::string::npos);
  CHECK(scene.image({"bundle", "app", scene / "b"}).err.find("names no command") != std::string::npos);
  CHECK_FALSE(path_exists(scene / "b"));
  CHECK(scene.image({"bundle", "nothing", scene / "b", "sh"}).status.code == 1);
  CHECK(scene.image({"bundle", "--remove", scene / "full"}).err.find("no bundle made by husk-image") != std::string::npos);
  CHECK(path_exists(scene / "full/x"));
  CHECK(scene.left_behind().empty());
}

TEST_CASE("an image in use by a bundle can be removed, and the bundle lives on") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  scene.good({"import", scene / "tree", "app"});
  scene.good({"bundle", "app", scene / "b", "/bin/sh", "-c", "echo alive"});
  scene.good({"rm", "app"});
  CHECK(scene.good({"list", "-q"}).empty());
  CHECK(scene.husk_program({"run", "-b", scene / "b", "e2e-images-" + random_hex(4)}).out == "alive\n");
  scene.good({"bundle", "--remove", scene / "b"});
  CHECK(scene.left_behind().empty());
}

TEST_CASE("errors: one line, with a hint, rc 1; verbs to come are refused by name") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  struct Row {
    std::vector<std::string> words;
    std::string text;
  };
  for (const auto& row : {Row{{"push", "x"}, "push is not there yet"}, Row{{"save"}, "save is not there yet"}, Row{{"frobnicate"}, "unknown verb"},
                          Row{{"list", "--nonsense"}, "unknown option"}, Row{{"tag", "one"}, "expects IMAGE NAME"},
                          Row{{"inspect", "nothing"}, "no image \"nothing\""}, Row{{"import", "/nonexistent", "x"}, "No such file"},
                          Row{{"import", scene / "tree", "x", "--expose", "0"}, "is no port"}, Row{{"rm", "nothing"}, "no image"},
                          Row{{"import", "/dev/null", "x"}, "the file is empty"}, Row{{"pull", "docker://h/x"}, "(hint: write h/x)"},
                          Row{{"--registries-conf", "/nonexistent", "pull", "h/x"}, "/nonexistent\" does not exist"},
                          Row{{"import", scene / "tree", "UPPER"}, "UPPER"}, Row{{"commit", scene / "tree", "x"}, "no bundle"}}) {
    CAPTURE(row.text);
    const auto output = scene.image(row.words);
    CHECK(output.status.code == 1);
    CHECK(output.out.empty());
    CHECK(output.err.starts_with("husk-image: "));
    CHECK(output.err.find(row.text) != std::string::npos);
    CHECK(std::count(output.err.begin(), output.err.end(), '\n') == 1);
  }
  CHECK(scene.good({"--help"}).find("Verbs:") != std::string::npos);
  CHECK(scene.good({"run", "--help"}).find("--volume") != std::string::npos);
  CHECK(scene.good({"--version"}).starts_with("husk-image version "));
}

TEST_CASE("two husk-image processes import and list at the same time") {
  HUSK_NEEDS_MACHINE();
  Scene scene;
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    auto child = spawn({.path = program("husk-image"),
                        .arguments = {"husk-image", "--root", scene / "store", "import", scene / "tree", format_text("app:{}", i), "-e", format_text("N={}", i)}});
    REQUIRE_OK(child);
    children.push_back(std::move(child).value());
  }
  for (auto& child : children) CHECK(child.wait().value().code == 0);
  CHECK(split(scene.good({"list", "-q"}), '\n').size() == 4);
  CHECK(scene.left_behind().empty());
}
