#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

struct BadConfig {
  const char* name;
  std::string text;
  std::string expected;
};

std::string deep(int levels) { return std::string(static_cast<std::size_t>(levels), '[') + std::string(static_cast<std::size_t>(levels), ']'); }

std::string config(const std::string& more) {
  return R"({"ociVersion":"1.0.2","root":{"path":")" + busybox_rootfs() + R"("},"process":{"args":["/bin/true"],"cwd":"/"},)"
         R"("linux":{"namespaces":[{"type":"mount"}]})" + more + "}";
}

}  // namespace

TEST_CASE("a malformed or hostile config.json is one clear error, and nothing is left behind") {
  REQUIRE_E2E();
  const std::vector<BadConfig> rows{
      {"empty", "", "config.json"},
      {"not JSON", "hello", "config.json"},
      {"cut off", R"({"ociVersion":"1.0.0")", "config.json"},
      {"an array", "[]", "object"},
      {"too deep", deep(100000), "config.json"},
      {"duplicate key", R"({"ociVersion":"1.0.0","ociVersion":"1.0.0"})", "ociVersion"},
      {"no version", "{}", "ociVersion"},
      {"bad version", R"({"ociVersion":"x"})", "ociVersion"},
      {"no root", R"({"ociVersion":"1.0.0"})", "root"},
      {"root is missing", R"({"ociVersion":"1.0.0","root":{"path":"/nonexistent-dir"},"process":{"args":["x"],"cwd":"/"},"linux":{"namespaces":[{"type":"mount"}]}})", "nonexistent-dir"},
      {"args of the wrong type", config(R"(,"hostname":5)"), "/hostname"},
      {"unknown namespace", R"({"ociVersion":"1.0.0","root":{"path":"/"},"linux":{"namespaces":[{"type":"warp"}]}})", "/linux/namespaces"},
      {"a namespace twice", R"({"ociVersion":"1.0.0","root":{"path":"/"},"linux":{"namespaces":[{"type":"mount"},{"type":"mount"}]}})", "namespaces"},
      {"hook without an absolute path", config(R"(,"hooks":{"prestart":[{"path":"x"}]})"), "/hooks/prestart/0"},
      {"hook time-out of zero", config(R"(,"hooks":{"poststop":[{"path":"/x","timeout":0}]})"), "timeout"},
      {"mount without destination", config(R"(,"mounts":[{"type":"tmpfs"}])"), "/mounts/0"},
      {"NUL in an argument", R"({"ociVersion":"1.0.0","root":{"path":"/"},"process":{"args":["a\u0000b"],"cwd":"/"},"linux":{"namespaces":[{"type":"mount"}]}})", "args"},
      {"relative cwd", R"({"ociVersion":"1.0.0","root":{"path":"/"},"process":{"args":["a"],"cwd":"x"},"linux":{"namespaces":[{"type":"mount"}]}})", "/process/cwd"},
      {"no args", R"({"ociVersion":"1.0.0","root":{"path":"/"},"process":{"args":[],"cwd":"/"},"linux":{"namespaces":[{"type":"mount"}]}})", "/process/args"},
      {"hostname without uts namespace", config(R"(,"hostname":"x")"), "hostname"},
      {"unknown mount type", config(R"(,"mounts":[{"destination":"/proc","type":"nosuchfs","source":"x"}])"), "nosuchfs"},
      {"missing bind source", config(R"(,"mounts":[{"destination":"/tmp","type":"bind","source":"/nonexistent-source","options":["bind"]}])"), "nonexistent-source"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Bench bench;
    const auto bundle = bench.bundle({"/bin/true"});
    const auto before = bench.world();
    REQUIRE_OK(write_atomically(AT_FDCWD, bundle + "/config.json", row.text));
    const auto done = bench.husk({"--log", bench.log(), "--log-format", "json", "create", "-b", bundle, bench.id()});
    CHECK(done.status.code == 1);
    CHECK(done.out.empty());
    CHECK_MESSAGE(contains(done.err, row.expected), done.err);
    CHECK(std::count(done.err.begin(), done.err.end(), '\n') == 1);
    const auto log = read_file(bench.log()).value();
    CHECK(std::count(log.begin(), log.end(), '\n') == 1);
    CHECK(oci::parse_json(log).has_value());
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("without CAP_SYS_ADMIN: one error that names the capability, and nothing is left") {
  REQUIRE_E2E();
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"/bin/true"});
  // The first to miss it is the cgroup's device list, then the rootfs.
  for (const std::string command : {"create", "run", "--cgroup-manager disabled create", "--cgroup-manager disabled run"}) {
    CAPTURE(command);
    const auto done = bench.shell("setpriv --bounding-set -sys_admin " + husk_binary() + " --root " + bench.root() + " " + command + " -b " + bundle + " " + bench.id());
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "needs CAP_SYS_ADMIN"), done.err);
    CHECK(!contains(done.err, "create cgroup: create cgroup"));
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("a full disk below --root: create fails with the kernel's reason and leaves nothing there") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"});
  const auto before = bench.world();
  REQUIRE_OK(make_directories(bench.path("small")));
  // No inode for a file; none for a second one; room for one page, which config.json takes.
  for (const std::string limit : {"nr_inodes=2", "nr_inodes=3", "size=4k"}) {
    CAPTURE(limit);
    const auto done = bench.shell("unshare --mount sh -c 'mount -t tmpfs -o " + limit + " none " + bench.path("small") + " && " + husk_binary() +
                                  " --root " + bench.path("small") + " create -b " + bundle + " " + bench.id() + "; r=$?; ls -A " + bench.path("small") + "; exit $r'");
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "No space left on device"), done.err);
    CHECK(done.out.empty());
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("ids that are no plain file name are refused") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"});
  for (const std::string id : {"", ".", "..", "../x", "a/b", ".hidden", "-x", "a b", "a\nb", "\xff", "%00"}) {
    CAPTURE(id);
    const auto done = bench.husk({"create", "-b", bundle, "--", id});
    CHECK(done.status.code == 1);
    CHECK(contains(done.err, "container id"));
  }
  CHECK(bench.husk({"create", "-b", bundle, std::string(300, 'a')}).status.code == 1);
  CHECK(!path_exists(bench.root() + "/x"));
}

TEST_CASE("a flag takes every word for false, and other options may have the value false") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"});
  for (const std::string word : {"0", "false", "False"}) {
    CAPTURE(word);
    const auto done = bench.husk({"--systemd-cgroup", "--systemd-cgroup=" + word, "run", "--detach=" + word, "-b", bundle, bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK(contains(bench.husk({"state", bench.id()}).err, "does not exist"));  // waited for: not detached
  }
  CHECK(bench.husk({"run", "--detach=perhaps", "-b", bundle, bench.id()}).status.code == 1);
  const auto elsewhere = bench.shell("cd " + bundle + " && husk run --bundle false " + bench.id());
  CHECK(elsewhere.status.code == 1);
  CHECK_MESSAGE(contains(elsewhere.err, "/false/config.json"), elsewhere.err);
}

TEST_CASE("command lines that are wrong are usage errors, never crashes") {
  REQUIRE_E2E();
  Bench bench;
  struct Row {
    std::vector<std::string> words;
    std::string text;
  };
  const std::vector<Row> rows{{{"nosuchverb"}, "unknown verb"},
                              {{"checkpoint", "x"}, "does not exist"},
                              {{"restore", "-b", "/nonexistent", "x"}, "config.json"},
                              {{"mounts", "x"}, "requires an argument"},
                              {{"wait", "x", "y"}, "unexpected argument"},
                              {{"gc", "x"}, "unexpected argument"},
                              {{"create"}, "requires an argument"},
                              {{"create", "a", "b"}, "unexpected argument"},
                              {{"create", "--bundle"}, "requires an argument"},
                              {{"create", "--nope", "a"}, "unknown option \"--nope\""},
                              {{"create", "a", "-nope=1"}, "unknown option \"-nope=1\""},
                              {{"create", "--=x", "a"}, "unknown option"},
                              {{"run", "-it", "a"}, "exec takes -t, run and create go by process.terminal"},
                              {{"exec", "-ti", "a", "sh"}, "standard input is always connected"},
                              {{"kill", "a", "-9"}, "husk kill ID 9"},
                              {{"run", "--detach=perhaps", "a"}, "--detach \"perhaps\": must be true or false"},
                              {{"spec", "-b", "/nonexistent"}, "--bundle must name a directory that exists"},
                              {{"mounts", "add", "web", "/nonexistent"}, "mounts add web: "},
                              {{"kill", "a", "NOSIG"}, "invalid signal"},
                              {{"ps", "a", "-ef"}, "does not exist"},
                              {{"ps", "-f", "xml", "a"}, "invalid format option"},
                              {{"--cgroup-manager", "x", "list"}, "--cgroup-manager"},
                              {{"--log-format", "x", "list"}, "--log-format"},
                              {{"--log-level", "x", "list"}, "log level"},
                              {{"--log", "journald:", "list"}, "journald"},
                              {{"--log", "syslog:", "list"}, "syslog"},
                              {{"--log", "/nonexistent/dir/log", "list"}, "open log file"},
                              {{"create", "-b", "/nonexistent", "a"}, "config.json"},
                              {{"create", "--preserve-fds", "99999", "a"}, "--preserve-fds"}};
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto done = bench.husk(row.words);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, row.text), done.err);
    CHECK(done.err.starts_with("husk: "));
  }
  CHECK(bench.husk({"--root", "/", "list"}).status.code == 1);
}
