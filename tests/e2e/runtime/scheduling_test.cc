// /process/scheduler, ioPriority and execCPUAffinity, as the kernel has them afterwards; with run, and with exec --process.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "oci-spec/parse_config.h"
#include "process_plan.h"

using namespace husk;
using namespace husk::test;

namespace {

// A kernel with groups of real-time tasks (CONFIG_RT_GROUP_SCHED) gives a new cgroup of version 1 no time of that kind;
// this one has some for its children. Source: kernel Documentation/scheduler/sched-rt-group.rst.
class RealTimeParent {
 public:
  RealTimeParent() {
    if (!path_exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")) return;
    path_ = "/husk-test-" + random_hex(6);
    REQUIRE_OK(sys::mkdirat(AT_FDCWD, "/sys/fs/cgroup/cpu" + path_, 0755));
    REQUIRE_OK(write_existing(AT_FDCWD, "/sys/fs/cgroup/cpu" + path_ + "/cpu.rt_runtime_us", "20000"));
  }
  RealTimeParent(const RealTimeParent&) = delete;
  RealTimeParent& operator=(const RealTimeParent&) = delete;
  ~RealTimeParent() {
    if (!is_needed()) return;
    // husk has made it in the other hierarchies, and leaves a parent that has no name of its own.
    const auto root = sys::openat(AT_FDCWD, "/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
    REQUIRE_OK(root);
    const auto hierarchies = sys::list_dir(root.value().get());
    REQUIRE_OK(hierarchies);
    for (const auto& item : hierarchies.value()) (void)sys::unlinkat(AT_FDCWD, "/sys/fs/cgroup/" + item.name + path_, AT_REMOVEDIR);
  }
  bool is_needed() const { return !path_.empty(); }
  void give(oci::Spec& spec) const {
    if (!is_needed()) return;
    spec.linux.cgroups_path = path_ + "/c";
    spec.linux.resources.cpu = oci::CpuLimits{.realtime_runtime = 10000, .realtime_period = 1000000};
  }

 private:
  std::string path_;
};

runtime::SchedAttr scheduling_of(int pid) {
  runtime::SchedAttr attr;
  REQUIRE(::syscall(SYS_sched_getattr, pid, &attr, sizeof attr, 0) == 0);
  return attr;
}

// Class and level in one number. Source: man 2 ioprio_get.
int io_priority_of(int pid) { return static_cast<int>(::syscall(SYS_ioprio_get, 1, pid)); }

// The pid of what `change` makes of the container's program, or with exec of another process in it.
int start(Bench& bench, bool with_exec, const std::function<void(oci::Process&)>& change, const Change& beside = {}) {
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [&](oci::Spec& spec) {
    if (beside) beside(spec);
    if (!with_exec) change(*spec.process);
  });
  const auto run = bench.husk({"run", "-d", "-b", bundle, bench.id()});
  REQUIRE_MESSAGE(run.status.code == 0, run.err);
  if (!with_exec) return bench.pid(bench.id());
  oci::Process process{.args = {"/bin/sleep", "1000"}, .env = {"PATH=/bin"}, .cwd = "/"};
  change(process);
  REQUIRE_OK(write_atomically(AT_FDCWD, bench.path("process.json"), oci::write_process(process)));
  const auto exec = bench.husk({"exec", "-d", "--pid-file", bench.path("pid"), "--process", bench.path("process.json"), bench.id()});
  REQUIRE_MESSAGE(exec.status.code == 0, exec.err);
  return std::stoi(read_file(bench.path("pid")).value());
}

}  // namespace

TEST_CASE("config.md#linux-process: every scheduling policy is in force, of the program and of exec --process") {
  REQUIRE_E2E();
  struct Row {
    oci::Scheduler wanted;
    std::uint32_t policy;
  };
  const Row rows[] = {{{.policy = "SCHED_OTHER", .nice = 7}, SCHED_OTHER},
                      {{.policy = "SCHED_OTHER", .nice = -5}, SCHED_OTHER},
                      {{.policy = "SCHED_BATCH", .nice = 3}, SCHED_BATCH},
                      {{.policy = "SCHED_IDLE"}, SCHED_IDLE},
                      {{.policy = "SCHED_FIFO", .priority = 10}, SCHED_FIFO},
                      {{.policy = "SCHED_RR", .priority = 99, .flags = {"SCHED_FLAG_RESET_ON_FORK"}}, SCHED_RR},
                      {{.policy = "SCHED_DEADLINE", .runtime = 1000000, .deadline = 5000000, .period = 10000000}, 6}};
  for (const auto& row : rows) {
    for (const bool with_exec : {false, true}) {
      CAPTURE(row.wanted.policy);
      CAPTURE(with_exec);
      const RealTimeParent parent;
      Bench bench;
      const auto pid = start(bench, with_exec, [&](oci::Process& process) { process.scheduler = row.wanted; },
                             [&](oci::Spec& spec) { parent.give(spec); });
      const auto found = scheduling_of(pid);
      CHECK(found.policy == row.policy);
      CHECK(found.nice == row.wanted.nice);
      CHECK(found.priority == static_cast<std::uint32_t>(row.wanted.priority));
      CHECK(found.flags == (row.wanted.flags.empty() ? 0U : 1U));
      if (row.wanted.deadline != 0) {
        CHECK(found.runtime == row.wanted.runtime);
        CHECK(found.deadline == row.wanted.deadline);
        CHECK(found.period == row.wanted.period);
      }
      CHECK(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
    }
  }
}

TEST_CASE("a scheduling policy that the kernel refuses is one error with the field, the reason and what to do") {
  REQUIRE_E2E();
  const RealTimeParent parent;
  struct Row {
    oci::Scheduler wanted;
    std::string error;
    std::string hint;
  };
  std::vector<Row> rows{
      {{.policy = "SCHED_ISO"}, "Invalid argument", "(hint: this kernel does not have the policy"},
      {{.policy = "SCHED_DEADLINE", .runtime = 2000000, .deadline = 1000000, .period = 3000000}, "Invalid argument", "not with these values"}};
  if (parent.is_needed())
    rows.push_back({{.policy = "SCHED_FIFO", .priority = 1}, "Operation not permitted", "\"/linux/resources/cpu/realtimeRuntime\""});
  for (const auto& row : rows) {
    CAPTURE(row.wanted.policy);
    Bench bench;
    const auto before = bench.world();
    const auto done = bench.husk({"run", "-b", bench.bundle({"/bin/true"}, [&](oci::Spec& spec) { spec.process->scheduler = row.wanted; }), bench.id()});
    CHECK(done.status.code == 1);
    CHECK_MESSAGE(contains(done.err, "apply /process/scheduler: sched_setattr(): " + row.error), done.err);
    CHECK_MESSAGE(contains(done.err, row.hint), done.err);
    CHECK_WORLD(bench, before);
  }
}

TEST_CASE("SCHED_DEADLINE: the container that asks for more than the processors have left is refused, the others run on") {
  REQUIRE_E2E();
  Bench bench;
  const auto greedy = [](oci::Spec& spec) {
    spec.process->scheduler = oci::Scheduler{.policy = "SCHED_DEADLINE", .runtime = 9000000, .deadline = 10000000, .period = 10000000};
  };
  const auto processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  Output last;
  for (long i = 0; i <= processors; ++i) {
    last = bench.husk({"run", "-d", "-b", bench.bundle({"/bin/sleep", "1000"}, greedy), bench.id(std::to_string(i))});
    if (i < processors) REQUIRE_MESSAGE(last.status.code == 0, last.err);
  }
  CHECK(last.status.code == 1);
  CHECK_MESSAGE(contains(last.err, "sched_setattr(): Device or resource busy (hint: the processors have not that much time left"), last.err);
  for (long i = 0; i < processors; ++i) CHECK(bench.status(bench.id(std::to_string(i))) == "running");
}

TEST_CASE("config.md#linux-process: ioPriority is in force in each class, of the program and of exec --process") {
  REQUIRE_E2E();
  struct Row {
    oci::IoPriority wanted;
    int value;
  };
  const Row rows[] = {{{.io_class = "IOPRIO_CLASS_RT", .priority = 3}, 1 << 13 | 3},
                      {{.io_class = "IOPRIO_CLASS_BE", .priority = 6}, 2 << 13 | 6},
                      {{.io_class = "IOPRIO_CLASS_IDLE", .priority = 0}, 3 << 13}};
  for (const auto& row : rows) {
    for (const bool with_exec : {false, true}) {
      CAPTURE(row.wanted.io_class);
      CAPTURE(with_exec);
      Bench bench;
      const auto pid = start(bench, with_exec, [&](oci::Process& process) { process.io_priority = row.wanted; });
      CHECK(io_priority_of(pid) == row.value);
    }
  }
}

TEST_CASE("config.md#linux-process: the execCPUAffinity of exec --process is that of the new process alone") {
  REQUIRE_E2E();
  const auto last = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)) - 1;
  Bench bench;
  const auto pid = start(bench, true, [&](oci::Process& process) {
    process.exec_cpu_affinity = oci::ExecCpuAffinity{.initial = "0", .final = std::to_string(last)};
  });
  cpu_set_t set;
  REQUIRE(::sched_getaffinity(pid, sizeof set, &set) == 0);
  CHECK(CPU_COUNT(&set) == 1);
  CHECK(CPU_ISSET(static_cast<std::size_t>(last), &set));
  REQUIRE(::sched_getaffinity(bench.pid(bench.id()), sizeof set, &set) == 0);
  CHECK(CPU_COUNT(&set) == last + 1);
}

TEST_CASE("the caller's CPU affinity is not the container's, of the program and of exec") {
  REQUIRE_E2E();
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) HUSK_SKIP("needs two processors");
  for (const auto hierarchy : kBoth) {
    CAPTURE(static_cast<int>(hierarchy));
    Bench bench{hierarchy};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"});
    const auto done = bench.shell("taskset -p -c 1 $$ >/dev/null; husk run -d -b " + bundle + " " + bench.id() + " && husk exec -d --pid-file " +
                                  bench.path("pid") + " " + bench.id() + " sleep 1000");
    REQUIRE_MESSAGE(done.status.code == 0, done.err);
    for (const auto pid : {bench.pid(bench.id()), std::stoi(read_file(bench.path("pid")).value())}) {
      cpu_set_t set;
      REQUIRE(::sched_getaffinity(pid, sizeof set, &set) == 0);
      CHECK(CPU_COUNT(&set) == ::sysconf(_SC_NPROCESSORS_ONLN));
    }
  }
}

TEST_CASE("config.md#linux-process: execCPUAffinity's initial counts before the container's cgroup, whose cpuset has other processors") {
  REQUIRE_E2E();
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) HUSK_SKIP("needs two processors");
  if (!path_exists("/sys/fs/cgroup/cpuset")) HUSK_SKIP("needs the cpuset controller of cgroup version 1");
  Bench bench;
  const auto bundle = bench.bundle({"/bin/sleep", "1000"}, [](oci::Spec& spec) {
    spec.linux.resources.cpu = oci::CpuLimits{.cpus = "1"};
    spec.process->exec_cpu_affinity = oci::ExecCpuAffinity{.initial = "0"};
  });
  REQUIRE(bench.husk({"run", "-d", "-b", bundle, bench.id()}).status.code == 0);
  const auto done = bench.husk({"exec", bench.id(), "/bin/grep", "Cpus_allowed_list", "/proc/self/status"});
  REQUIRE_MESSAGE(done.status.code == 0, done.err);
  CHECK(done.out == "Cpus_allowed_list:\t1\n");
}
