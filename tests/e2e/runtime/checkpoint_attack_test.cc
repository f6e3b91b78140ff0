// Images as an attacker writes them: links that lead CRIU, who is root, to files of the host, other keys for mounts,
// and a husk-checkpoint.json that says something else than config.json. Nothing of the host is read, changed or mounted.
#include <sys/stat.h>

#include "attack.h"
#include "frozen.h"

namespace husk::test {
namespace {

constexpr const char* kEmptyOutside =
    R"({"mounts":[],"destinations":[],"masks":[],"maskedDirectories":[],"devices":[],"hierarchies":[],"stdio":["","",""]})";

TEST_CASE("CVE-2026-115520: a link, a FIFO or a device in an image is refused by restore, before anything is read or written") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  const auto bundle = bench.shell_bundle("sleep 100");
  const auto image = bench.path("image");
  const auto before = prey.look();
  const auto world = bench.world();
  const auto make = [&](const std::string& command) {
    REQUIRE(bench.shell("rm -rf " + image + "; mkdir " + image + "; echo '" + kEmptyOutside + "' >" + image + "/husk-checkpoint.json; cd " + image + "; " + command).status.code == 0);
    return bench.husk({"restore", "-d", "-b", bundle, "--image-path", image, bench.id()});
  };
  for (const auto* name : {"restore.log", "stats-restore", "pages-1.img", "core-1.img", "mountpoints-12.img", "husk-checkpoint.json", "inventory.img"}) {
    CAPTURE(std::string{name});
    CHECK_REFUSED(make("ln -sf " + prey.path() + "/file " + name), "is a symbolic link");
    CHECK_REFUSED(make("rm -f " + std::string{name} + "; mkfifo " + name), "is no file");
    CHECK_REFUSED(make("rm -f " + std::string{name} + "; mknod " + name + " c 1 5"), "is no file");
  }
  CHECK_REFUSED(make("ln -s " + prey.path() + " parent"), "is an absolute link");
  CHECK_REFUSED(make("mkdir ../old; ln -s ../old parent; ln -s " + prey.path() + "/file ../old/pages-1.img"), "is a symbolic link");
  CHECK_REFUSED(make("ln -s . parent"), "too many parents");
  CHECK(prey.look() == before);
  CHECK_WORLD(bench, world);
}

TEST_CASE("CVE-2026-115520: checkpoint refuses a directory with links, and the container runs on") {
  REQUIRE_E2E();
  Bench bench;
  Prey prey{bench};
  REQUIRE_DONE(bench.husk({"run", "-d", "-b", bench.shell_bundle("sleep 100"), bench.id()}));
  const auto before = prey.look();
  for (const auto* name : {"dump.log", "stats-dump", "core-1.img", "pages-1.img"}) {
    CAPTURE(std::string{name});
    const auto image = bench.path(std::string{"image-"} + name);
    REQUIRE(bench.shell("mkdir " + image + "; ln -s " + prey.path() + "/file " + image + "/" + name).status.code == 0);
    CHECK_REFUSED(bench.husk({"checkpoint", "--image-path", image, bench.id()}), "is a symbolic link");
  }
  CHECK(bench.status(bench.id()) == "running");
  CHECK(prey.look() == before);
}

TEST_CASE("CVE-2026-115520: CRIU's logs in --work-path begin anew at checkpoint and restore: a link there leads nowhere") {
  REQUIRE_CRIU();
  Bench bench;
  Prey prey{bench};
  Counter counter{bench};
  const auto work = bench.path("work");
  REQUIRE(bench.shell("mkdir " + work + "; for name in dump.log restore.log stats-dump stats-restore; do ln -s " + prey.path() + "/file " + work + "/$name; done").status.code == 0);
  const auto before = prey.look();
  REQUIRE_DONE(counter.save({"--work-path", work}));
  REQUIRE_DONE(counter.restore({"--work-path", work}));
  CHECK(prey.look() == before);
  for (const auto* log : {"/dump.log", "/restore.log"}) {
    const auto info = sys::fstatat(AT_FDCWD, work + log, AT_SYMLINK_NOFOLLOW);
    REQUIRE_OK(info);
    CHECK(S_ISREG(info.value().st_mode));
  }
}

// A container with one closed and one open mount of the host, saved; and what an attacker makes of its image.
struct Forged {
  Forged() {
    REQUIRE(bench.shell("mkdir " + closed + " " + open).status.code == 0);
    counter.emplace(bench, [&](oci::Spec& spec) {
      spec.mounts.push_back(bind_with(closed, "/home", {"ro"}));
      spec.mounts.push_back(bind_with(open, "/root", {"rw"}));
    });
    REQUIRE_DONE(counter->save());
    REQUIRE_DONE(bench.husk({"delete", counter->id}));
    world = bench.world();
    good = counter->image;
  }
  // `script` runs in a copy of the image.
  Output restore(const std::string& script) {
    counter->image = bench.path("forged");
    REQUIRE(bench.shell("rm -rf " + counter->image + "; cp -a " + good + " " + counter->image + "; cd " + counter->image + "; " + script).status.code == 0);
    return counter->restore();
  }
  Bench bench;
  std::string closed = bench.path("closed");
  std::string open = bench.path("open");
  std::optional<Counter> counter;
  std::string world;
  std::string good;
};

TEST_CASE("CVE-2026-115520: keys of mounts that an image exchanges, invents or leaves out are refused at the restore") {
  REQUIRE_CRIU();
  Forged forged;
  const auto outside = read_file(forged.good + "/husk-checkpoint.json");
  REQUIRE_OK(outside);
  const auto json = oci::parse_json(outside.value());
  REQUIRE_OK(json);
  const auto* mounts = json.value().find("mounts");
  REQUIRE(mounts != nullptr);
  const auto list = mounts->dump();  // "[5,6]"
  const auto comma = list.find(',');
  REQUIRE(comma != std::string::npos);
  const auto first = "husk-mount-" + list.substr(1, comma - 1);
  const auto second = "husk-mount-" + list.substr(comma + 1, list.size() - comma - 2);
  REQUIRE(first.size() == second.size());
  const std::string to_host = "/etc///////////////";
  struct Row {
    std::string script;
    std::string text;
  };
  const auto patch = [](const std::string& from, const std::string& to) { return "sed -i 's|" + from + "|" + to + "|g' mountpoints-*.img"; };
  const auto in_json = [](const std::string& from, const std::string& to) { return "sed -i 's|" + from + "|" + to + "|' husk-checkpoint.json"; };
  for (const auto& row :
       {Row{patch(first, "husk-mount-X") + "; " + patch(second, first) + "; " + patch("husk-mount-X", second), "something else is mounted there"},
        Row{patch(first, to_host.substr(0, first.size())), "CRIU failed"},
        Row{patch(first, "husk-mount-0"), "CRIU failed"},
        Row{in_json("\\[\"/home\",\"/root\"\\]", "[\"/root\",\"/home\"]"), "something else is mounted there"},
        Row{in_json("\"mounts\":\\[[^]]*\\]", "\"mounts\":[]") + "; " + in_json("\"destinations\":\\[[^]]*\\]", "\"destinations\":[]"), "CRIU failed"},
        Row{in_json("\"/home\"", "\"/etc\""), "another config.json"},
        Row{in_json("\"/home\"", "\"/root\""), "another config.json"},
        Row{in_json("\"hierarchies\":\\[[^]]*\\]", "\"hierarchies\":[\"../../../etc\"]"), "the image has cgroup mounts"},
        Row{in_json("\"masks\":\\[[^]]*\\]", "\"masks\":[77]"), "another config.json"}}) {
    CAPTURE(row.script);
    CHECK_REFUSED(forged.restore(row.script), row.text);
    CHECK_WORLD(forged.bench, forged.world);
  }
  REQUIRE_DONE(forged.restore("true"));
}

}  // namespace
}  // namespace husk::test
