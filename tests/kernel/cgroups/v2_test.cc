// cgroup v2 on the real kernel: the host's unified hierarchy in a mount namespace of our own.
#include <sys/wait.h>

#include <cerrno>

#include "base/file.h"
#include "kernel/cgroups/scene.h"

using namespace husk;
using namespace husk::cgroups;
using namespace husk::test;

namespace {


// Others may use the hierarchy at the same time: only names of our own count.
bool is_left(const std::string& path) { return path_exists(kRoot + path.substr(0, path.find('/', 1))); }

}  // namespace

TEST_CASE("a child is born in its cgroup, and removal leaves nothing, not even the parents made for it") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  CHECK(host_version() == Version::v2);
  const auto path = own_path() + "/pod/web";
  auto cgroup = make(plan_of(Version::v2, path));
  auto child = start_child(sleep_for_ever, cgroup->clone_fd());
  CHECK(text_of(format_text("/proc/{}/cgroup", child.pid())).find("0::" + path) != std::string::npos);
  CHECK(cgroup->processes().value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->kill_all(SIGKILL));
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  CHECK_OK(cgroup->remove());
  CHECK_OK(cgroup->remove());
  CHECK_FALSE(is_left(path));
}

TEST_CASE("200 containers created and removed leave nothing") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  for (int i = 0; i < 200; ++i) {
    auto plan = make_plan_for(Version::v2, "", {}, "husk-test-" + random_hex(4), Driver::cgroupfs);
    REQUIRE_OK(plan);
    auto created = create(plan.value());
    REQUIRE_OK(created);
    CHECK(exit_code(start_child([] { return 7; }, created.value()->clone_fd())) == 7);
    REQUIRE_OK(remove_path(plan.value().path, Version::v2));
    CHECK_FALSE(path_exists(kRoot + plan.value().path));
  }
}

TEST_CASE("creators and removers of the shared parent at the same time do not disturb each other") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  std::vector<Child> workers;
  for (int worker = 0; worker < 4; ++worker)
    workers.push_back(start_child([] {
      for (int i = 0; i < 100; ++i) {
        const auto plan = make_plan_for(Version::v2, "", {}, "husk-test-" + random_hex(4), Driver::cgroupfs);
        if (!plan.has_value() || !create(plan.value()).has_value()) return 1;
        if (!remove_path(plan.value().path, Version::v2).has_value()) return 2;
        if (path_exists(kRoot + plan.value().path)) return 3;
      }
      return 0;
    }));
  for (auto& worker : workers) CHECK(exit_code(std::move(worker)) == 0);
}

TEST_CASE("config-linux.md#allowed-device-list: a device that no rule allows can be made but not opened") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const TempDir nodes;
  const auto path = nodes / "node";
  if (open_device(path, S_IFCHR, 1, 11, O_RDONLY) != 0) HUSK_SKIP("device nodes do not work in the temporary directory");
  auto cgroup = make(plan_of(Version::v2, own_path()));
  const auto open_inside = [&](mode_t type, unsigned major, unsigned minor, int flags) {
    return exit_code(
        start_child([&] { return open_device(path, type, major, minor, flags); }, cgroup->clone_fd()));
  };
  CHECK(open_inside(S_IFCHR, 1, 3, O_RDWR) == 0);
  CHECK(open_inside(S_IFCHR, 1, 11, O_RDONLY) == EPERM);
  CHECK(open_inside(S_IFBLK, 259, 77, O_RDONLY) == EPERM);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("config-linux.md#allowed-device-list: an allowed kind of access does not allow another one") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const TempDir nodes;
  const auto path = nodes / "node";
  if (open_device(path, S_IFCHR, 1, 11, O_RDONLY) != 0) HUSK_SKIP("device nodes do not work in the temporary directory");
  auto cgroup = make(plan_of(
      Version::v2, own_path(),
      {.devices = {{.allow = false, .access = "rwm"},
                   {.allow = true, .type = 'c', .major = 1, .minor = 11, .access = "r"}}}));
  const auto open_inside = [&](int flags) {
    return exit_code(start_child([&] { return open_device(path, S_IFCHR, 1, 11, flags); }, cgroup->clone_fd()));
  };
  CHECK(open_inside(O_RDONLY) == 0);
  CHECK(open_inside(O_WRONLY) == EPERM);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("the kernel's verifier takes a filter of 300 rules of every kind") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  oci::Resources resources;
  const char* const accesses[] = {"r", "rw", "rwm", "m", "w"};
  for (int i = 0; i < 300; ++i)
    resources.devices.push_back({.allow = i % 3 != 0,
                                 .type = i % 2 == 0 ? 'b' : 'c',
                                 .major = i % 7 == 0 ? std::optional<std::int64_t>{} : i,
                                 .minor = i % 5 == 0 ? std::optional<std::int64_t>{} : 0xffffffffLL - i,
                                 .access = accesses[i % 5]});
  auto cgroup = make(plan_of(Version::v2, own_path(), resources));
  CHECK(exit_code(start_child([] { return 0; }, cgroup->clone_fd())) == 0);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a frozen cgroup says so, stops its processes and lets them go on") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  auto pipe = sys::pipe2();
  REQUIRE_OK(pipe);
  const int to_parent = pipe.value().write_end.get();
  auto child = start_child(
      [to_parent] {
        for (;;)
          if (::write(to_parent, "x", 1) != 1) return 1;
      },
      cgroup->clone_fd());
  CHECK_FALSE(cgroup->is_frozen().value());
  REQUIRE_OK(cgroup->freeze());
  CHECK(cgroup->is_frozen().value());
  REQUIRE_OK(sys::set_nonblocking(pipe.value().read_end.get(), true));
  std::array<char, 65536> buffer;
  while (sys::read_some(pipe.value().read_end.get(), buffer).has_value()) {}
  std::vector<sys::PollEntry> entries{{.fd = pipe.value().read_end.get(), .events = POLLIN}};
  CHECK(sys::poll(entries, 50).value() == 0);
  REQUIRE_OK(cgroup->thaw());
  CHECK(sys::poll(entries, 5000).value() == 1);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("SIGKILL ends a tree that forks without end, also while it is frozen") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  auto child = start_child(fork_for_ever, cgroup->clone_fd());
  wait_for_forks(*cgroup);
  REQUIRE_OK(cgroup->freeze());
  CHECK(cgroup->processes().value().size() > 1);
  REQUIRE_OK(cgroup->kill_all(SIGKILL));
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a freeze that others thaw is made again, and is over when nobody is left to freeze") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  for (int round = 0; round < 30; ++round) {
    auto target = start_child(sleep_for_ever, cgroup->clone_fd());
    auto rival = start_child([&] {  // a kill: thaws, and ends what is in there
      for (int i = 0; i < 50; ++i)
        if (!write_existing(AT_FDCWD, kRoot + path + "/cgroup.freeze", "0").has_value()) return 1;
      return write_existing(AT_FDCWD, kRoot + path + "/cgroup.kill", "1").has_value() ? 0 : 2;
    });
    CHECK_OK(cgroup->freeze());
    CHECK(exit_code(std::move(rival)) == 0);
    CHECK(exit_code(std::move(target)) == 128 + SIGKILL);
    REQUIRE_OK(cgroup->thaw());
  }
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a signal other than SIGKILL reaches every process once and the cgroup runs on") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  const auto wait_for_usr1 = [] {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    int number = 0;
    return ::sigwait(&set, &number) == 0 && number == SIGUSR1 ? 5 : 1;
  };
  sigset_t usr1;
  sigset_t before;
  ::sigemptyset(&usr1);
  ::sigaddset(&usr1, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &usr1, &before);
  auto first = start_child(wait_for_usr1, cgroup->clone_fd());
  auto second = start_child(wait_for_usr1, cgroup->clone_fd());
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  CHECK_OK(cgroup->kill_all(SIGUSR1));
  CHECK(exit_code(std::move(first)) == 5);
  CHECK(exit_code(std::move(second)) == 5);
  CHECK_FALSE(cgroup->is_frozen().value());
  CHECK_OK(cgroup->remove());
}

TEST_CASE("removal kills what is left, in sub-cgroups too") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto outer = make(plan_of(Version::v2, path));
  // As a container makes them: without controllers, which would keep processes out of the parent.
  for (const auto* name : {"/inner", "/inner/deep"}) REQUIRE_OK(sys::mkdirat(AT_FDCWD, kRoot + path + name, 0755));
  auto opened = open(path + "/inner/deep", Version::v2);
  REQUIRE_OK(opened);
  const auto inner = std::move(opened).value();
  auto in_outer = start_child(fork_for_ever, outer->clone_fd());
  auto in_inner = start_child(fork_for_ever, inner->clone_fd());
  wait_for_forks(*outer);
  wait_for_forks(*inner);
  CHECK_OK(remove_path(path, Version::v2));
  CHECK(exit_code(std::move(in_outer)) == 128 + SIGKILL);
  CHECK(exit_code(std::move(in_inner)) == 128 + SIGKILL);
  CHECK_FALSE(is_left(path));
}

TEST_CASE("cgroups nested deeper than PATH_MAX: their processes are seen, signalled and removed") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  const auto innermost = nest_deeply(kRoot + cgroup->path());
  auto child = start_child(sleep_for_ever, innermost.get());
  const auto processes = cgroup->processes();
  REQUIRE_OK(processes);
  CHECK(processes.value() == std::vector<pid_t>{child.pid()});
  CHECK_OK(cgroup->kill_all(SIGCONT));
  CHECK_OK(cgroup->remove());
  CHECK(child.wait().value().signal == SIGKILL);
  CHECK_FALSE(path_exists(kRoot + cgroup->path()));
}

TEST_CASE("a limit whose controller is absent is refused by name before anything is made") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  if (text_of(format_text("{}/cgroup.controllers", kRoot)).find("memory") != std::string::npos)
    HUSK_SKIP("this host has the memory controller on cgroup v2");
  const auto path = own_path();
  const auto made = create(plan_of(Version::v2, path, {.memory = oci::MemoryLimits{.limit = 1 << 20}}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().kind() == Kind::unsupported);
  const auto text = made.error().to_string();
  CHECK(text.find("\"memory\"") != std::string::npos);
  CHECK(text.find("cgroup.controllers") != std::string::npos);
  CHECK_FALSE(is_left(path));
}

TEST_CASE("a controller that a limit needs is enabled on the way down") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  if (text_of(format_text("{}/cgroup.controllers", kRoot)).find("hugetlb") == std::string::npos)
    HUSK_SKIP("this host has no hugetlb controller on cgroup v2");
  const auto path = own_path() + "/pod/web";
  auto cgroup = make(plan_of(Version::v2, path, {.hugepage_limits = {{"2MB", 4194304}}}));
  CHECK(text_of(kRoot + path + "/hugetlb.2MB.max") == "4194304");
  CHECK_OK(cgroup->apply(plan_of(Version::v2, path, {.hugepage_limits = {{"2MB", 2097152}}})));
  CHECK(text_of(kRoot + path + "/hugetlb.2MB.max") == "2097152");
  CHECK_OK(cgroup->remove());
}

TEST_CASE("cgroup-v2.rst, no internal processes: a parent with processes is an error that says so") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  if (text_of(format_text("{}/cgroup.controllers", kRoot)).find("hugetlb") == std::string::npos)
    HUSK_SKIP("this host has no hugetlb controller on cgroup v2");
  const auto path = own_path();
  auto parent = make(plan_of(Version::v2, path));
  auto child = start_child(sleep_for_ever, parent->clone_fd());
  const auto made = create(plan_of(Version::v2, path + "/web", {.hugepage_limits = {{"2MB", 0}}}));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().to_string().find("processes of its own") != std::string::npos);
  CHECK_FALSE(path_exists(kRoot + path + "/web"));
  CHECK_OK(parent->remove());
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
}

TEST_CASE("config-linux.md#unified: core files are written; a refused value removes what was made") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.unified = {{"cgroup.max.depth", "3"}}}));
  CHECK(text_of(kRoot + path + "/cgroup.max.depth") == "3");
  CHECK_OK(cgroup->remove());
  const auto refused =
      create(plan_of(Version::v2, path, {.unified = {{"cgroup.max.depth", "3"}, {"cgroup.max.descendants", "many"}}}));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().to_string().find("cgroup.max.descendants") != std::string::npos);
  CHECK_FALSE(is_left(path));
}

TEST_CASE("an update that the kernel refuses half way leaves the values as they were") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path, {.unified = {{"cgroup.max.depth", "3"}}}));
  const auto done = cgroup->apply(
      plan_of(Version::v2, path, {.unified = {{"cgroup.max.depth", "9"}, {"cgroup.max.descendants", "many"}}}));
  REQUIRE_FALSE(done.has_value());
  CHECK(text_of(kRoot + path + "/cgroup.max.depth") == "3");
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a path that holds somebody's processes is refused; an empty leftover is used again") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto plan = plan_of(Version::v2, own_path());
  auto first = make(plan);
  auto child = start_child(sleep_for_ever, first->clone_fd());
  const auto second = create(plan);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().kind() == Kind::exists);
  CHECK(first->processes().value().size() == 1);
  CHECK_OK(first->freeze());
  CHECK_OK(first->kill_all(SIGKILL));
  CHECK(exit_code(std::move(child)) == 128 + SIGKILL);
  first.reset();
  auto third = create(plan);
  REQUIRE_OK(third);
  CHECK_FALSE(third.value()->is_frozen().value());
  CHECK_OK(third.value()->remove());
}

TEST_CASE("an absent cgroup cannot be opened, and removing it is success") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  const auto opened = open(path, Version::v2);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().kind() == Kind::not_found);
  CHECK_OK(remove_path(path, Version::v2));
  CHECK(read_oom_kills(path) == 0);
}

TEST_CASE("config-linux.md#cgroup-ownership: delegation gives the directory and only the kernel's files") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  const auto path = own_path();
  auto cgroup = make(plan_of(Version::v2, path));
  REQUIRE_OK(cgroup->delegate(1234, 1235));
  const auto owner = [&](const std::string& name) { return sys::fstatat(AT_FDCWD, kRoot + path + name, 0).value().st_uid; };
  CHECK(owner("") == 1234);
  CHECK(owner("/cgroup.procs") == 1234);
  CHECK(owner("/cgroup.subtree_control") == 1234);
  CHECK(owner("/cgroup.max.depth") == 0);
  CHECK(owner("/cgroup.freeze") == 0);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("a read-only cgroup file system is an error that says so") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  REQUIRE_OK(sys::mount("none", kRoot, "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""));
  const auto made = create(plan_of(Version::v2, own_path()));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().kind() == Kind::denied);
  CHECK(made.error().to_string().find("read-only") != std::string::npos);
}

TEST_CASE("statistics show the time that a child used") {
  if (!is_root()) HUSK_SKIP("needs root");
  const Cgroup2Host host;
  auto cgroup = make(plan_of(Version::v2, own_path()));
  CHECK(exit_code(start_child(
            [] {
              volatile unsigned sum = 0;
              for (unsigned i = 0; i < 30000000; ++i) sum = sum + i;
              return 0;
            },
            cgroup->clone_fd())) == 0);
  const auto stats = cgroup->stats();
  REQUIRE_OK(stats);
  CHECK(stats.value().cpu.usage_ns > 1000000);
  CHECK(stats.value().timestamp_ns > 0);
  CHECK_OK(cgroup->remove());
}

TEST_CASE("no cgroup at all: nothing to enter or remove; what needs its processes is refused, not skipped") {
  auto cgroup = none();
  CHECK(cgroup->clone_fd() == -1);
  CHECK(cgroup->open_entries({}).value().empty());
  CHECK_OK(cgroup->thaw());
  for (const auto& refused : {cgroup->freeze(), cgroup->kill_all(SIGKILL)}) {
    REQUIRE(!refused.has_value());
    CHECK(refused.error().kind() == Kind::unsupported);
  }
  CHECK(!cgroup->processes().has_value());
  CHECK_OK(cgroup->remove());
  CHECK(open("", Version::v2).has_value());
}
