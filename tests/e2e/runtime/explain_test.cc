// Errors that explain: the step, the place in config.json, the call, the kernel's reason, and what to do. The program
// that cannot run is in process_test.cc.
#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

constexpr Hierarchy kNative = Hierarchy::native;

struct Row {
  const char* name;
  Change change;
  std::vector<std::string> texts;  // in this order
  Hierarchy hierarchy = kNative;
};

// One line on stderr and one JSON object in the log, as containerd and podman read it; nothing is left.
void check_row(const Row& row) {
  CAPTURE(row.name);
  Bench bench{row.hierarchy};
  const auto bundle = bench.bundle({"/bin/true"}, row.change);
  const auto before = bench.world();
  const auto done = bench.husk({"--log", bench.log(), "--log-format", "json", "run", "-b", bundle, bench.id()});
  CHECK(done.status.code == 1);
  std::size_t at = 0;
  for (const auto& text : row.texts) {
    CAPTURE(text);
    const auto found = done.err.find(text, at);
    CHECK_MESSAGE(found != std::string::npos, done.err);
    if (found != std::string::npos) at = found;
  }
  const auto log = read_file(bench.log()).value();
  CHECK(std::count(log.begin(), log.end(), '\n') == 1);
  const auto json = oci::parse_json(log);
  REQUIRE_OK(json);
  CHECK(*json.value().find("level")->as_string() == "error");
  CHECK(done.err == "husk: " + *json.value().find("msg")->as_string() + "\n");
  CHECK_WORLD(bench, before);
}

oci::Mount bind_mount(const std::string& from, const std::string& to, std::vector<std::string> options) {
  options.emplace_back("bind");
  return {.destination = to, .type = "bind", .source = from, .options = std::move(options)};
}

}  // namespace

TEST_CASE("a mount that fails names its entry, the call, the kernel's reason and what to do") {
  REQUIRE_E2E();
  const std::vector<oci::IdMapping> map{{.container_id = 0, .host_id = 100000, .size = 65536}};
  const Row rows[] = {
      {"missing source", [](oci::Spec& spec) { spec.mounts = {bind_mount("/nonexistent-source", "/tmp", {})}; },
       {"\"/mounts/0\": mount on \"/tmp\"", "open_tree", "No such file or directory", "does not exist on the host"}},
      {"unknown file system", [](oci::Spec& spec) { spec.mounts = {{.destination = "/tmp", .type = "nosuchfs", .source = "x"}}; },
       {"\"/mounts/0\"", "\"nosuchfs\"", "(hint: the kernel has no file system"}},
      {"unknown option", [](oci::Spec& spec) { spec.mounts.push_back({.destination = "/tmp", .type = "tmpfs", .source = "x", .options = {"sized=1"}}); },
       {"\"/mounts/", "sized", "(hint: "}},
      {"source that cannot be idmapped", [&](oci::Spec& spec) {
         spec.mounts.push_back(bind_mount("/proc", "/tmp", {}));
         spec.mounts.back().uid_mappings = spec.mounts.back().gid_mappings = map;
       },
       {"\"/mounts/", "mount_setattr", "the source is on proc, which no kernel can idmap"}}};
  for (const auto& row : rows) check_row(row);
}

TEST_CASE("a device node that is something else names its entry in config.json") {
  REQUIRE_E2E();
  check_row({"mismatch", [](oci::Spec& spec) {
               spec.mounts.push_back(bind_mount("/etc/hostname", "/dev/husk-node", {}));
               spec.linux.devices.push_back({.type = 'c', .path = "/dev/zero", .major = 1, .minor = 5});
               spec.linux.devices.push_back({.type = 'c', .path = "/dev/husk-node", .major = 1, .minor = 3});
             },
             {"\"/linux/devices/1\": make device \"/dev/husk-node\"", "exists and is not character device 1:3", "(hint: remove it from the image"}});
}

TEST_CASE("a sysctl of the host, and one whose namespace is not the container's own, say why") {
  REQUIRE_E2E();
  check_row({"host", [](oci::Spec& spec) { spec.linux.sysctl = {{"kernel.panic", "1"}}; }, {"\"/linux/sysctl\": sysctl \"kernel.panic\" is not in a separate kernel namespace", "(hint: "}});
  check_row({"no namespace", [](oci::Spec& spec) {
               spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}};
               std::erase_if(spec.linux.namespaces, [](const auto& item) { return item.type == oci::NamespaceType::network; });
             },
             {"\"/linux/sysctl\": \"net.ipv4.ip_forward\" needs a \"network\" namespace", "(hint: "}});
}

TEST_CASE("a namespace path of another type, or of no namespace, names the field and the path") {
  REQUIRE_E2E();
  const auto joined = [](const std::string& path) {
    return [path](oci::Spec& spec) {
      for (auto& item : spec.linux.namespaces)
        if (item.type == oci::NamespaceType::ipc) item.path = path;
    };
  };
  check_row({"type", joined("/proc/self/ns/uts"), {"\"/linux/namespaces\": open ipc namespace", "\"/proc/self/ns/uts\" is a namespace of another type"}});
  check_row({"file", joined("/etc/hostname"), {"\"/linux/namespaces\": open ipc namespace", "\"/etc/hostname\" is no namespace"}});
  check_row({"missing", joined("/nonexistent"), {"\"/linux/namespaces\": open ipc namespace", "No such file or directory"}});
}

TEST_CASE("a limit whose cgroup controller is missing names the limit and the controller") {
  REQUIRE_E2E();
  if (read_file("/proc/self/cgroup").value().find(":memory:") == std::string::npos)
    HUSK_SKIP("needs the memory controller in a version 1 hierarchy, so that version 2 lacks it");
  check_row({"memory", [](oci::Spec& spec) { spec.linux.resources.memory = oci::MemoryLimits{.limit = 64 << 20}; },
             {"memory", "controller", "(hint: "}, Hierarchy::unified});
}

TEST_CASE("a program on a noexec mount, and one that nobody may execute, say why permission is denied") {
  REQUIRE_E2E();
  const auto noexec = [](oci::Spec& spec) {
    spec.mounts.push_back(bind_mount("/bin/busybox", "/tmp/p", {"noexec"}));
    spec.mounts.insert(spec.mounts.end() - 1, {.destination = "/tmp", .type = "tmpfs", .source = "tmpfs"});
    spec.process->args = {"/tmp/p", "true"};
  };
  check_row({"noexec", noexec, {"exec: \"/tmp/p\": permission denied", "(hint: it is on a mount with the option noexec"}});
  check_row({"mode", [](oci::Spec& spec) { spec.process->args = {"/etc/passwd"}; }, {"exec: \"/etc/passwd\": permission denied", "lets nobody execute it"}});
  check_row({"PATH", [](oci::Spec& spec) { spec.process->args = {"nosuch"}; },
             {"exec: \"nosuch\": executable file not found in $PATH", "(hint: \"/process/args/0\" is looked for in PATH="}});
}

TEST_CASE("a rootfs that is a file, a bundle without config.json and one that is a file say what to name instead") {
  REQUIRE_E2E();
  check_row({"file as rootfs", [](oci::Spec& spec) { spec.root->path = "/etc/hostname"; },
             {"prepare rootfs: the rootfs \"/etc/hostname\" is no directory", "(hint: root.path of config.json"}});
  Bench bench;
  const auto before = bench.world();
  const auto bundle = bench.bundle({"true"});
  struct Wrong {
    std::vector<std::string> options;
    std::string error;
    std::string hint;
  };
  for (const auto& row : {Wrong{{"-b", bundle + "/rootfs"}, "No such file or directory", "(hint: --bundle must name"},
                          Wrong{{"-b", bundle + "/config.json"}, "Not a directory", "(hint: --bundle must name"},
                          Wrong{{"-b", bundle, "-f", bundle + "/none"}, "No such file or directory", "(hint: --config must name"},
                          Wrong{{"-b", bundle, "-f", bundle}, "", "(hint: the configuration must be a file"}}) {
    auto words = row.options;
    words.insert(words.begin(), "run");
    words.push_back(bench.id());
    const auto done = bench.husk(words);
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "read configuration: "), done.err);
    CHECK_MESSAGE(contains(done.err, row.error), done.err);
    CHECK_MESSAGE(contains(done.err, row.hint), done.err);
  }
  CHECK_WORLD(bench, before);
}

TEST_CASE("a seccomp filter that refuses execve is named by run and by start, and nothing is left") {
  REQUIRE_E2E();
  const auto filter = [](const std::string& default_action, const std::string& call, const std::string& action) {
    return [=](oci::Spec& spec) {
      spec.linux.seccomp = oci::Seccomp{.default_action = default_action};
      spec.linux.seccomp->syscalls = {{.names = {call}, .action = action}};
    };
  };
  const std::string reason =
      "exec: \"/bin/true\": the container's seccomp filter refuses the system call execve (hint: allow \"execve\" in \"/linux/seccomp/syscalls\")";
  std::vector<Change> refusing{filter("SCMP_ACT_KILL_PROCESS", "write", "SCMP_ACT_ALLOW")};
  for (const auto* action : {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"})
    refusing.push_back(filter("SCMP_ACT_ALLOW", "execve", action));
  for (const auto& change : refusing) {
    Bench bench;
    const auto bundle = bench.bundle({"/bin/true"}, change);
    REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
    const auto started = bench.husk({"start", bench.id()});
    CHECK(started.status.code == 1);
    CHECK_MESSAGE(contains(started.err, reason), started.err);
    CHECK(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
    const auto before = bench.world();  // with the compiled filter, which is kept
    const auto done = bench.husk({"run", "-b", bundle, bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, reason), done.err);
    CHECK_WORLD(bench, before);
  }
  Bench bench;
  CHECK(bench.husk({"run", "-b", bench.bundle({"/bin/true"}, filter("SCMP_ACT_ALLOW", "execve", "SCMP_ACT_LOG")), bench.id()}).status.code == 0);
}

TEST_CASE("an unknown capability is one warning that names it, and the container runs") {
  REQUIRE_E2E();
  Bench bench;
  const auto bundle = bench.bundle({"/bin/true"}, [](oci::Spec& spec) {
    spec.process->capabilities = oci::Capabilities{.bounding = {"CAP_FLY"}, .effective = {}, .inheritable = {}, .permitted = {}, .ambient = {}};
  });
  const auto done = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(done.status.code == 0);
  CHECK_MESSAGE(contains(done.err, "warning: unknown capability \"CAP_FLY\" is left out"), done.err);
}

TEST_CASE("config-linux.md#memory-policy: the kernel has it") {
  REQUIRE_E2E();
  if (!path_exists("/proc/self/numa_maps")) HUSK_SKIP("needs a kernel with CONFIG_NUMA");
  Bench bench;
  const auto nodes = bench.shell_bundle("head -n 1 /proc/self/numa_maps", [](oci::Spec& spec) {
    spec.linux.memory_policy = oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0", .flags = {"MPOL_F_STATIC_NODES"}};
  });
  const auto bound = bench.husk({"run", "-b", nodes, bench.id()});
  CHECK_MESSAGE(contains(bound.out, " bind=static:0 "), (bound.out + bound.err));
}
