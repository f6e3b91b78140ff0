// The monitor with husk itself: isolation, terminals, memory limits.
#include <sched.h>
#include <sys/mount.h>

#include "bed.h"

namespace husk::monitor::test {
namespace {

std::string skip_reason() {
  if (!husk::test::is_root()) return "containers need root";
  if (!path_exists("/bin/busybox")) return "no /bin/busybox (package busybox-static)";
  return "";
}

bool has_v1_memory() { return path_exists("/sys/fs/cgroup/memory/memory.oom_control") || path_exists("/sys/fs/cgroup/memory/cgroup.procs"); }

std::string receive_stream(int fd, char stream, std::string_view wanted) {
  std::string text;
  while (text.find(wanted) == std::string::npos) {
    std::vector<sys::PollEntry> entries{{.fd = fd, .events = 1}};
    REQUIRE(sys::poll(entries, kPatience_ms).value() == 1);
    const auto got = sys::receive_message(fd, 1U << 17U);
    REQUIRE_OK(got);
    REQUIRE(!got.value().end_of_file);
    if (got.value().data[0] == stream) text += got.value().data.substr(1);
  }
  return text;
}

}  // namespace

#define REAL_BED(bed)                                          \
  if (!skip_reason().empty()) HUSK_SKIP(skip_reason());        \
  Bed bed {                                                    \
    Runtime::real                                              \
  }

TEST_CASE("husk: life, log, exit code, record, removal") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  bed.run(client, bed.create_request("a", "echo out; echo err >&2; echo $$; exit 7"));
  CHECK(client.wait_event("exited", "a").exit.exit_code == 7);
  const auto log = bed.log_text("a");
  CHECK(log.find("stdout F out\n") != std::string::npos);
  CHECK(log.find("stdout F 1\n") != std::string::npos);  // its own PID namespace
  CHECK(log.find("stderr F err\n") != std::string::npos);
  CHECK(bed.exit_record("a").exit_code == 7);
  CHECK_REPLY(client.call({.op = Op::remove, .id = "a"}));
  CHECK(!path_exists(bed.path("state") + "/a"));
  CHECK(!path_exists(bed.dir() + "/containers/a"));
}

TEST_CASE("husk wait knows the exit code of a pod's container that the monitor has reaped") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  bed.run(client, bed.create_request("a", "exit 7"));
  CHECK(client.wait_event("exited", "a").exit.exit_code == 7);
  const auto kept = read_file(bed.path("state") + "/a/exit-code");
  REQUIRE_OK(kept);
  CHECK(kept.value() == "7");
  const auto husk = husk::test::program("husk");
  const auto waited = husk::run({.path = husk, .arguments = {"husk", "--root", bed.path("state"), "wait", "a"}});
  REQUIRE_OK(waited);
  CHECK(waited.value().out == "7\n");
  CHECK_REPLY(client.call({.op = Op::remove, .id = "a"}));
}

TEST_CASE("husk: its error text comes back, and nothing stays") {
  REAL_BED(bed);
  auto client = bed.connect();
  auto create = bed.create_request("a", "true");
  REQUIRE_OK(sys::unlinkat(AT_FDCWD, create.bundle + "/config.json"));
  const auto reply = client.call(create);
  CHECK(!reply.ok);
  CHECK_MESSAGE(reply.error.find("config.json") != std::string::npos, reply.error);
  CHECK(client.call({.op = Op::hello}).containers.empty());
  CHECK(!path_exists(bed.path("state") + "/a"));
}

TEST_CASE("husk: a command that does not exist is an error of create or start") {
  REAL_BED(bed);
  auto client = bed.connect();
  const auto path = bed.bundle("a", "true", "", [](oci::Json& config) {
    auto process = *config.find("process");
    process.set("args", std::vector<std::string>{"/no/such/program"});
    config.set("process", process);
  });
  auto reply = client.call({.op = Op::create, .id = "a", .bundle = path});
  if (reply.ok) reply = client.call({.op = Op::start, .id = "a"});
  CHECK(!reply.ok);
  CHECK_MESSAGE(reply.error.find("o such file") != std::string::npos, reply.error);
}

TEST_CASE("husk: stop by signal, by SIGKILL, and exec with its time-out") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  bed.run(client, bed.create_request("a", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"));
  const Sink out;
  const Sink err;
  auto reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("echo o; echo e >&2; cat /proc/1/comm; exit 9")}, {out.fd(), err.fd()});
  REQUIRE_REPLY(reply);
  CHECK(reply.exit_code == 9);
  CHECK(out.text() == "o\nsh\n");
  CHECK(err.text() == "e\n");
  reply = client.call({.op = Op::exec, .id = "a", .timeout_ms = 200, .process = bed.process("sleep 100 & setsid sleep 101 & wait")}, {out.fd(), err.fd()});
  CHECK(reply.error_kind == "timed_out");
  const Sink list;
  reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")}, {list.fd(), err.fd()});
  REQUIRE_REPLY(reply);
  CHECK_MESSAGE(list.text().find("sleep 10") == std::string::npos, list.text());
  reply = client.call({.op = Op::exec, .id = "a", .process = bed.process("kill -9 $$")}, {out.fd(), err.fd()});
  CHECK(reply.exit_code == 137);
  reply = client.call({.op = Op::exec, .id = "a", .process = R"({"args":["/no/such"],"cwd":"/","user":{"uid":0,"gid":0}})"}, {out.fd(), err.fd()});
  CHECK(!reply.ok);
  CHECK_MESSAGE(reply.error.find("o such file") != std::string::npos, reply.error);
  CHECK_REPLY(client.call({.op = Op::stop, .id = "a", .timeout_ms = 10'000}));
  CHECK(client.wait_event("exited", "a").exit.exit_code == 5);
  bed.run(client, bed.create_request("b", "trap '' TERM; while :; do sleep 1; done"));
  CHECK_REPLY(client.call({.op = Op::stop, .id = "b", .timeout_ms = 200}));
  CHECK(client.wait_event("exited", "b").exit.exit_code == 137);
}

TEST_CASE("husk: an exec ends with its container") {
  REAL_BED(bed);
  auto client = bed.connect();
  bed.run(client, bed.create_request("a", "sleep 1000"));
  const Sink out;
  const auto exec = client.send({.op = Op::exec, .id = "a", .process = bed.process("echo up; exec sleep 1000")}, {out.fd(), out.fd()});
  for (int attempt = 0; attempt < 2000 && out.text().empty(); ++attempt) (void)::usleep(10'000);
  CHECK(out.text() == "up\n");
  CHECK(!client.has_reply(exec, 0));
  CHECK_REPLY(client.call({.op = Op::stop, .id = "a"}));
  CHECK(client.wait_reply(exec).exit_code == 137);
}

TEST_CASE("husk: a container without a PID namespace leaves nothing running") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  const auto path = bed.bundle("a", "setsid sleep 987 & echo $!", "", [](oci::Json& config) {
    auto linux_part = *config.find("linux");
    oci::Json namespaces = oci::Json::array();
    for (const auto* type : {"mount", "ipc", "uts"}) namespaces.push(oci::Json::object().set("type", type));
    linux_part.set("namespaces", namespaces);
    config.set("linux", linux_part);
  });
  bed.run(client, {.op = Op::create, .id = "a", .bundle = path, .log_path = bed.log_path("a")});
  client.wait_event("exited", "a");
  const auto log = bed.log_text("a");
  const auto pid = parse_uint32(trim(std::string_view{log}.substr(log.rfind(' ') + 1)));
  REQUIRE_OK(pid);
  const auto pidfd = sys::pidfd_open(static_cast<pid_t>(pid.value()));
  if (pidfd.has_value()) {
    std::vector<sys::PollEntry> entries{{.fd = pidfd.value().get(), .events = 1}};
    CHECK(sys::poll(entries, kPatience_ms).value() == 1);
  }
}

TEST_CASE("husk: a terminal: its output is stdout, attach writes and resizes") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  Request create{.op = Op::create, .id = "a", .log_path = bed.log_path("a"), .terminal = true, .stdin_open = true,
                 .attach_socket = bed.path("attach")};
  create.bundle = bed.bundle("a", "stty -echo; echo ready; read x; stty size; echo \"got $x\"; exec 0<&- 1>&- 2>&-; exec >/dev/tty; echo again", "",
                             [](oci::Json& config) {
                               auto process = *config.find("process");
                               process.set("terminal", true);
                               config.set("process", process);
                               auto mounts = *config.find("mounts");
                               mounts.push(oci::Json::object().set("destination", "/dev").set("type", "tmpfs").set("source", "tmpfs"));
                               mounts.push(oci::Json::object().set("destination", "/dev/pts").set("type", "devpts").set("source", "devpts").set(
                                   "options", std::vector<std::string>{"newinstance", "ptmxmode=0666", "mode=0620"}));
                               config.set("mounts", mounts);
                             });
  CHECK_REPLY(client.call(create));
  const auto attach = sys::connect_unix(create.attach_socket, SOCK_SEQPACKET);
  REQUIRE_OK(attach);
  const int fd = attach.value().get();
  CHECK_REPLY(client.call({.op = Op::start, .id = "a"}));
  receive_stream(fd, kStdout, "ready");
  REQUIRE_OK(sys::send_message(fd, std::string{"\x04\x64\x00\x28\x00", 5}));  // 100 columns, 40 rows
  REQUIRE_OK(sys::send_message(fd, std::string{"\0hello\n", 7}));
  const auto text = receive_stream(fd, kStdout, "again");
  CHECK_MESSAGE(text.find("40 100") != std::string::npos, text);
  CHECK(text.find("got hello") != std::string::npos);
  CHECK(client.wait_event("exited", "a").exit.exit_code == 0);
  CHECK(bed.log_text("a").find("stdout F got hello\n") != std::string::npos);
  CHECK(bed.log_text("a").find("stderr") == std::string::npos);
}

TEST_CASE("husk: a kill by the memory limit is told (cgroup v1)") {
  REAL_BED(bed);
  if (!has_v1_memory()) HUSK_SKIP("no cgroup v1 memory controller");
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  const auto limited = [&](const std::string& id, const std::string& script) {
    const auto path = bed.bundle(id, script, "", [&](oci::Json& config) {
      auto linux_part = *config.find("linux");
      linux_part.set("cgroupsPath", "/husk-test-" + id);
      linux_part.set("resources", oci::Json::object().set("memory", oci::Json::object().set("limit", 16U << 20U)));
      config.set("linux", linux_part);
    });
    bed.run(client, {.op = Op::create, .id = id, .bundle = path, .log_path = bed.log_path(id)});
  };
  limited("oom1", "head -c 200000000 /dev/zero | tail -c 150000000; x=$(yes | head -c 100000000); exit 3");
  const auto record = client.wait_event("exited", "oom1").exit;
  CHECK(record.exit_code != 0);
  CHECK(record.oom_killed);
  CHECK(client.wait_event("oom", "oom1").exit.id == "oom1");
  CHECK(bed.exit_record("oom1").oom_killed);
  limited("oom2", "exit 137");
  CHECK(!client.wait_event("exited", "oom2").exit.oom_killed);
  CHECK_REPLY(client.call({.op = Op::remove, .id = "oom1"}));
  CHECK_REPLY(client.call({.op = Op::remove, .id = "oom2"}));
}

TEST_CASE("pause: PID 1 of a namespace reaps orphans and ends with 0 on SIGTERM") {
  REAL_BED(bed);
  auto client = bed.connect();
  const auto path = bed.bundle("p", "", "", [](oci::Json& config) {
    auto process = *config.find("process");
    process.set("args", std::vector<std::string>{"/pause"});
    config.set("process", process);
  });
  const auto pause = read_file(husk::test::program("pause"));
  REQUIRE_OK(pause);
  REQUIRE_OK(write_atomically(AT_FDCWD, path + "/rootfs/pause", pause.value(), 0755));
  bed.run(client, {.op = Op::create, .id = "p", .bundle = path});
  const Sink out;
  const auto exec = [&](const std::string& script) {
    return client.call({.op = Op::exec, .id = "p", .timeout_ms = kPatience_ms, .process = bed.process(script)}, {out.fd(), out.fd()});
  };
  // Orphans: their parents are gone, PID 1 inherits them.
  REQUIRE_REPLY(exec("for i in 1 2 3 4 5; do (sleep 0.01 & ) ; done; (sleep 1000 &)"));
  // The short sleeps end; a zombie would still be listed with its name. Only the long one may stay.
  auto reply = exec("until [ $(cat /proc/[0-9]*/stat | grep -c '(sleep)') = 1 ]; do :; done; echo one");
  REQUIRE_REPLY(reply);
  CHECK_MESSAGE(out.text().ends_with("one\n"), out.text());
  reply = client.call({.op = Op::stop, .id = "p", .timeout_ms = 10'000});
  REQUIRE_REPLY(reply);
  CHECK(reply.containers.at(0).exit->exit_code == 0);
}

TEST_CASE("husk: fifty containers in one monitor, all at once") {
  REAL_BED(bed);
  auto client = bed.connect();
  CHECK_REPLY(client.call({.op = Op::subscribe}));
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 50; ++i) {
    auto create = bed.create_request(format_text("c{}", i), "sleep 1000");
    numbers.push_back(client.send(create));
  }
  for (const auto number : numbers) CHECK_REPLY(client.wait_reply(number));
  for (int i = 0; i < 50; ++i) CHECK_REPLY(client.call({.op = Op::start, .id = format_text("c{}", i)}));
  CHECK(client.call({.op = Op::hello}).containers.size() == 50);
  MESSAGE("50 containers: RSS " << rss_kib(bed.monitor().pid()) << " KiB, descriptors " << open_fds(bed.monitor().pid()));
  CHECK(rss_kib(bed.monitor().pid()) < 4000 + kSanitizerKib);
  numbers.clear();
  for (int i = 0; i < 50; ++i) numbers.push_back(client.send({.op = Op::stop, .id = format_text("c{}", i)}));
  for (const auto number : numbers) CHECK_REPLY(client.wait_reply(number));
}

}  // namespace husk::monitor::test
