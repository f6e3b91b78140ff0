#include <string>
#include <vector>

#include "harness/harness.h"
#include "monitor/oom.h"
#include "monitor/process_tree.h"
#include "monitor/runtime_caller.h"

namespace husk::monitor {
namespace {

constexpr std::string_view kHybridMounts =
    "30 20 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "32 30 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
    "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("memory cgroup: on v1 the memory controller's line and mount") {
  const auto found = find_memory_cgroup("4:cpu,cpuacct:/a\n3:memory:/husk/web\n0::/user.slice\n", kHybridMounts);
  CHECK(found.path == "/husk/web");
  CHECK(found.directory == "/sys/fs/cgroup/memory/husk/web");
  CHECK(!found.unified);
}

TEST_CASE("memory cgroup: on v2 the unified line and mount") {
  const auto found = find_memory_cgroup("0::/kubepods/pod1/web\n", "29 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  CHECK(found.path == "/kubepods/pod1/web");
  CHECK(found.directory == "/sys/fs/cgroup/kubepods/pod1/web");
  CHECK(found.unified);
}

TEST_CASE("memory cgroup: a mount of a sub-tree shows the path below it") {
  const auto found = find_memory_cgroup("3:memory:/docker/abc/husk\n", "1 2 0:28 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n");
  CHECK(found.directory == "/cg/memory/husk");
  const auto beside = find_memory_cgroup("3:memory:/docker/abcd\n", "1 2 0:28 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n");
  CHECK(beside.directory.empty());
}

TEST_CASE("memory cgroup: a name that only begins like the root of a mount is not below it; \\040 is a space") {
  const std::string_view mounts = "1 2 0:28 /pod1 /cg/one rw - cgroup cgroup rw,memory\n"
                                  "1 2 0:28 /pod\\0401 /cg\\040two rw - cgroup cgroup rw,memory\n";
  CHECK(find_memory_cgroup("3:memory:/pod12\n", mounts).directory.empty());
  CHECK(find_memory_cgroup("3:memory:/pod1\n", mounts).directory == "/cg/one");
  CHECK(find_memory_cgroup("3:memory:/pod 1/web\n", mounts).directory == "/cg two/web");
}

TEST_CASE("memory cgroup: without a memory controller only the path is known, or nothing") {
  const auto other = find_memory_cgroup("2:cpu:/x\n0::/\n", kHybridMounts);
  CHECK(other.path == "/x");
  CHECK(other.directory.empty());
  CHECK(find_memory_cgroup("", kHybridMounts).path.empty());
  CHECK(find_memory_cgroup("nonsense\n:\n", "nonsense - \n - - \n").directory.empty());
}

TEST_CASE("oom kills: the oom_kill counter of both versions") {
  CHECK(parse_oom_kills("low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 1\n") == 2);
  CHECK(parse_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n") == 7);
  CHECK(!parse_oom_kills("oom_kill_disable 0\nunder_oom 0\n").has_value());
  CHECK(!parse_oom_kills("oom_kill x\n").has_value());
}

TEST_CASE("OOM events: v1 tells before it counts, so the event counts; v2 also changes its file for other reasons") {
  const std::string_view killing = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
  const std::string_view stopping = "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n";
  CHECK(next_notified(false, killing, 0, 0) == 1);  // the kill comes
  CHECK(next_notified(false, killing, 0, 1) == 1);  // the kill came
  CHECK(next_notified(false, killing, 1, 1) == 2);  // a second one
  CHECK(next_notified(false, killing, 1, 4) == 4);
  CHECK(next_notified(false, stopping, 0, 0) == 0);
  CHECK(next_notified(true, "oom 3\noom_kill 0\n", 0, 0) == 0);
  CHECK(next_notified(true, "oom 3\noom_kill 2\n", 1, 2) == 2);
}

TEST_CASE("process stat: a name may hold spaces and parentheses") {
  const auto stat = parse_process_stat("42 (a) b (c) S 7 42 41 0 -1");
  REQUIRE(stat.has_value());
  CHECK(stat->pid == 42);
  CHECK(stat->parent == 7);
  CHECK(stat->session == 41);
  CHECK(stat->state == 'S');
  for (const auto* bad : {"", "42", "42 (a", "42 (a) S", "x (a) S 1 2 3", "1 (a) S -1 2 3", ") (1 S 1 1 1"})
    CHECK(!parse_process_stat(bad).has_value());
}

TEST_CASE("process tree: descendants, the session, and children of members that are gone") {
  const std::vector<ProcessStat> processes{{.pid = 1, .parent = 0, .session = 1, .state = 'S'},
                                           {.pid = 10, .parent = 1, .session = 10, .state = 'S'},
                                           {.pid = 13, .parent = 12, .session = 13, .state = 'S'},
                                           {.pid = 12, .parent = 10, .session = 12, .state = 'S'},
                                           {.pid = 14, .parent = 1, .session = 10, .state = 'S'},
                                           {.pid = 15, .parent = 10, .session = 10, .state = 'Z'},
                                           {.pid = 16, .parent = 99, .session = 16, .state = 'S'},
                                           {.pid = 20, .parent = 1, .session = 20, .state = 'S'}};
  CHECK(select_tree(processes, 10, {}) == std::set<pid_t>{10, 12, 13, 14});
  CHECK(select_tree(processes, 10, {99}) == std::set<pid_t>{10, 12, 13, 14, 16});
  CHECK(select_tree(processes, 77, {}).empty());
}

TEST_CASE("runtime log: the last error line counts; other lines and broken ones are passed over") {
  CHECK(last_runtime_error("") == "");
  CHECK(last_runtime_error("{\"level\":\"warning\",\"msg\":\"w\"}\n") == "");
  CHECK(last_runtime_error("{\"level\":\"error\",\"msg\":\"first\"}\nbroken\n[]\n{\"level\":1}\n"
                           "{\"level\":\"error\",\"msg\":\"create a: \\\"x\\\"\",\"time\":\"t\"}\n{\"level\":\"info\",\"msg\":\"i\"}") ==
        "create a: \"x\"");
}

TEST_CASE("runtime texts have kinds") {
  CHECK(kind_of_runtime_text("container \"a\" does not exist") == Kind::not_found);
  CHECK(kind_of_runtime_text("container not running") == Kind::wrong_state);
  CHECK(kind_of_runtime_text("container with given ID already exists") == Kind::exists);
  CHECK(kind_of_runtime_text("anything else") == Kind::internal);
}

TEST_CASE("runtime arguments: globals first, then the verb") {
  const auto list = runtime_arguments({.path = "/b/husk", .root = "/r"},
                                      {.arguments = {"kill", "a", "15"}, .log_directory = "/d", .systemd_cgroup = true}, "/d/l");
  CHECK(join(list, " ") == "husk --root /r --log /d/l --log-format json --systemd-cgroup kill a 15");
}

}  // namespace husk::monitor
