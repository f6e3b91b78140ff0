#include <linux/sched.h>
#include <sys/resource.h>

#include "harness/cost.h"
#include "harness/harness.h"
#include "namespaces.h"
#include "plan.h"
#include "process_plan.h"
#include "record.h"
#include "sysctl.h"

using namespace husk;
using namespace husk::runtime;
using oci::NamespaceType;

namespace {

oci::Spec spec_with(std::vector<oci::Namespace> namespaces) {
  oci::Spec spec{.oci_version = "1.0.0", .root = oci::Root{.path = "/r"}};
  spec.linux.namespaces = std::move(namespaces);
  return spec;
}

CreateOptions options() { return {.id = ContainerId::parse("c").value(), .bundle = "/b"}; }

std::string refusal(const oci::Spec& spec) {
  const auto plan = make_container_plan(spec, options());
  return plan.has_value() ? "" : plan.error().to_string();
}

}  // namespace

TEST_CASE("config-linux.md#namespaces: new ones become clone flags; cgroup and time are made apart") {
  const auto plan = plan_namespaces(spec_with({{NamespaceType::pid, ""}, {NamespaceType::mount, ""},
                                               {NamespaceType::cgroup, ""}, {NamespaceType::time, ""}}));
  REQUIRE_OK(plan);
  CHECK(plan.value().clone_flags == (CLONE_NEWPID | CLONE_NEWNS));
  CHECK(plan.value().new_cgroup);
  CHECK(plan.value().new_time);
  CHECK(!plan.value().staged);
}

TEST_CASE("a new network namespace is the parent's to make, unless a new user namespace has to own it") {
  const auto apart = plan_namespaces(spec_with({{NamespaceType::network, ""}, {NamespaceType::pid, ""}}));
  REQUIRE_OK(apart);
  CHECK(apart.value().parallel_network);
  CHECK(apart.value().clone_flags == CLONE_NEWPID);
  auto spec = spec_with({{NamespaceType::user, ""}, {NamespaceType::network, ""}});
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
  spec.linux.gid_mappings = spec.linux.uid_mappings;
  const auto owned = plan_namespaces(spec);
  REQUIRE_OK(owned);
  CHECK(!owned.value().parallel_network);
  CHECK(owned.value().clone_flags == (CLONE_NEWUSER | CLONE_NEWNET));
}

TEST_CASE("joining a user namespace, or a new one beside joined ones, needs a stage") {
  const auto joined = plan_namespaces(spec_with({{NamespaceType::user, "/proc/1/ns/user"}, {NamespaceType::pid, ""}}));
  REQUIRE_OK(joined);
  CHECK(joined.value().staged);
  auto spec = spec_with({{NamespaceType::user, ""}, {NamespaceType::network, "/proc/1/ns/net"}});
  spec.linux.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 1}};
  spec.linux.gid_mappings = spec.linux.uid_mappings;
  const auto mixed = plan_namespaces(spec);
  REQUIRE_OK(mixed);
  CHECK(mixed.value().staged);
  const auto pod = plan_namespaces(spec_with({{NamespaceType::network, "/proc/1/ns/net"}, {NamespaceType::pid, ""}}));
  REQUIRE_OK(pod);
  CHECK(!pod.value().staged);
}

TEST_CASE("config-linux.md#user-namespace-mappings: a new user namespace without mappings is refused") {
  CHECK(!plan_namespaces(spec_with({{NamespaceType::user, ""}})).has_value());
}

TEST_CASE("config-linux.md#offset-for-time-namespace: offsets are written in the kernel's form") {
  auto spec = spec_with({{NamespaceType::time, ""}});
  spec.linux.time_offset_monotonic = oci::TimeOffset{.seconds = 5, .nanoseconds = 7};
  spec.linux.time_offset_boottime = oci::TimeOffset{.seconds = -1, .nanoseconds = 0};
  const auto plan = plan_namespaces(spec);
  REQUIRE_OK(plan);
  CHECK(plan.value().time_offsets == "monotonic 5 7\nboottime -1 0\n");
  spec.linux.namespaces.clear();
  CHECK(!plan_namespaces(spec).has_value());
}

TEST_CASE("config-linux.md#sysctl: only parameters of the container's own namespaces") {
  auto spec = spec_with({{NamespaceType::network, ""}, {NamespaceType::ipc, ""}});
  spec.linux.sysctl = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}, {"fs.mqueue.msg_max", "10"}};
  const auto writes = plan_sysctls(spec);
  REQUIRE_OK(writes);
  CHECK(writes.value().at(0).path == "net/ipv4/ip_forward");
  for (const auto* name : {"kernel.panic", "vm.overcommit_memory", "kernel.hostname", "user.max_user_namespaces",
                           "net/../kernel/panic", "net.", "", "kernel.core_pattern"}) {
    CAPTURE(name);
    spec.linux.sysctl = {{name, "1"}};
    CHECK(!plan_sysctls(spec).has_value());
  }
}

TEST_CASE("what this version cannot do is refused by name") {
  const auto base = [] {
    auto spec = spec_with({{NamespaceType::mount, ""}});
    spec.process = oci::Process{.args = {"x"}, .cwd = "/"};
    return spec;
  };
  auto spec = base();
  spec.linux.namespaces.clear();
  CHECK(refusal(spec).find("mount namespace") != std::string::npos);
}

TEST_CASE("config-linux.md#cgroup-ownership: never given to an id whose meaning on the host is not known") {
  auto spec = spec_with({{NamespaceType::mount, ""}, {NamespaceType::cgroup, ""}});
  spec.mounts = {{.destination = "/sys/fs/cgroup", .type = "cgroup", .source = "cgroup"}};
  const auto own = make_container_plan(spec, options());
  REQUIRE_OK(own);
  CHECK(own.value().delegate_cgroup);
  spec.linux.namespaces.push_back({.type = NamespaceType::user, .path = "/proc/1/ns/user"});
  const auto joined = make_container_plan(spec, options());
  REQUIRE_OK(joined);
  CHECK(!joined.value().delegate_cgroup);
  spec.linux.namespaces.pop_back();
  spec.mounts.front().options = {"ro"};
  const auto readonly = make_container_plan(spec, options());
  REQUIRE_OK(readonly);
  CHECK(!readonly.value().delegate_cgroup);
}

TEST_CASE("config.md#process: a terminal needs a console socket, and the other way round") {
  auto spec = spec_with({{NamespaceType::mount, ""}});
  spec.process = oci::Process{.terminal = true, .args = {"x"}, .cwd = "/"};
  CHECK(refusal(spec).find("cannot allocate tty") != std::string::npos);
  spec.process->terminal = false;
  auto chosen = options();
  chosen.console_socket = "/s";
  const auto plan = make_container_plan(spec, chosen);
  REQUIRE(!plan.has_value());
  CHECK(plan.error().to_string().find("cannot use console socket") != std::string::npos);
}

TEST_CASE("config.md#process: scheduling, limits and memory policy become kernel numbers") {
  oci::Process process{.args = {"x"}, .cwd = "/"};
  process.rlimits = {{.type = "RLIMIT_NOFILE", .soft = 10, .hard = 20}};
  process.scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 3, .flags = {"SCHED_FLAG_RESET_ON_FORK"}};
  process.io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 4};
  process.exec_cpu_affinity = oci::ExecCpuAffinity{.initial = "0-1", .final = "9"};
  oci::Linux linux;
  linux.memory_policy = oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0,2", .flags = {"MPOL_F_STATIC_NODES"}};
  const auto plan = make_process_plan(process, linux, {.container_id = "c", .is_exec = true});
  REQUIRE_OK(plan);
  CHECK(plan.value().rlimits.at(0).resource == RLIMIT_NOFILE);
  CHECK(plan.value().scheduler->policy == SCHED_BATCH);
  CHECK(plan.value().scheduler->nice == 3);
  CHECK(plan.value().scheduler->flags == SCHED_FLAG_RESET_ON_FORK);
  CHECK(plan.value().io_priority == ((2 << 13) | 4));
  CHECK(plan.value().initial_affinity->at(0) == 3);
  CHECK(plan.value().final_affinity->at(1) == 2);
  CHECK(plan.value().memory_policy->nodes.at(0) == 5UL);
  CHECK(plan.value().umask == 0022);
  const auto created = make_process_plan(process, linux, {.container_id = "c"});
  REQUIRE_OK(created);
  CHECK(!created.value().final_affinity.has_value());  // execCPUAffinity is for exec only
}

TEST_CASE("config.md#linux-process: without capabilities the process gets none") {
  const auto plan = make_process_plan({.args = {"x"}, .cwd = "/"}, {}, {.container_id = "c"});
  REQUIRE_OK(plan);
  CHECK(plan.value().caps.bounding == 0);
}

TEST_CASE("number lists: single numbers, ranges, and nothing else") {
  const auto bits = parse_number_list("0-2,5", "/x");
  REQUIRE_OK(bits);
  CHECK(bits.value() == std::vector<bool>{true, true, true, false, false, true});
  for (const auto* text : {"", ",", "1-", "-1", "3-1", "a", "0-99999999", "1,,2", "1:2"}) {
    CAPTURE(text);
    CHECK(!parse_number_list(text, "/x").has_value());
  }
}

TEST_CASE("a record says after reading what it said when written") {
  const Record record{.id = "a",
                      .stage = Stage::starting,
                      .bundle = "/b",
                      .rootfs = "/r",
                      .created_ns = 1234567890123456789,
                      .init = {.pid = 42, .start_time = 18'000'000'000'000'000'000U},
                      .cgroup_path = "/x/y",
                      .cgroup_claimed = false,
                      .cgroup_version = cgroups::Version::v1,
                      .cgroup_driver = cgroups::Driver::systemd,
                      .no_pivot = true,
                      .has_process = false,
                      .has_late_hooks = true,
                      .annotations = {{"k", "v\n\"\x01"}, {"b", "2"}}};
  const auto again = parse_record(write_record(record));
  REQUIRE_OK(again);
  CHECK(write_record(again.value()) == write_record(record));
  CHECK(again.value().init.start_time == record.init.start_time);
  CHECK(again.value().annotations == record.annotations);
  CHECK_FALSE(again.value().cgroup_claimed);
}

TEST_CASE("a record of many annotations does not cost their square") {
  const auto write = [](int count) {
    Record record;
    for (int i = 0; i < count; ++i) record.annotations.emplace_back(format_text("key-{}", i), "value");
    CHECK(write_record(record).size() > static_cast<std::size_t>(count));
  };
  CHECK(test::growth_of(write) < test::kNotTheSquare);
}

TEST_CASE("a damaged record is an error and no crash") {
  for (const auto* text : {"", "{}", "[]", "{\"id\":1}", "{\"id\":\"a\",\"stage\":\"x\"}"}) {
    CAPTURE(text);
    CHECK(!parse_record(text).has_value());
  }
}

TEST_CASE("a process is told apart from a later one with its pid") {
  const auto self = process_ref(::getpid());
  REQUIRE_OK(self);
  const auto alive = open_alive(self.value());
  REQUIRE_OK(alive);
  CHECK(alive.value().has_value());
  const auto reused = open_alive({.pid = ::getpid(), .start_time = self.value().start_time + 1});
  REQUIRE_OK(reused);
  CHECK(!reused.value().has_value());
  const auto none = open_alive({.pid = 0, .start_time = 0});
  REQUIRE_OK(none);
  CHECK(!none.value().has_value());
}
