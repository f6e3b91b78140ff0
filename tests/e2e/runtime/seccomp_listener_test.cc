// SCMP_ACT_NOTIFY: an agent gets the listener and answers for the container. Source: man 2 seccomp_unotify;
// config-linux.md#containerprocessstate.
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "bench.h"

using namespace husk;
using namespace husk::test;

namespace {

struct Answered {
  std::string message;
  std::size_t descriptors = 0;
  std::vector<int> calls;
};

// Takes one connection and answers the calls of its container until it ends: execve goes on, others get errno 77.
Answered serve(const UniqueFd& socket) {
  Answered answered;
  auto connection = sys::accept(socket.get());
  if (!connection.has_value()) return answered;
  auto message = sys::receive_message(connection.value().get(), 1U << 16U);
  if (!message.has_value()) return answered;
  answered.message = message.value().data;
  answered.descriptors = message.value().fds.size();
  if (answered.descriptors != 1) return answered;
  const int listener = message.value().fds.front().get();
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = listener, .events = POLLIN}};
    if (!sys::poll(entries, 20'000).has_value() || (entries[0].revents & POLLIN) == 0) return answered;
    seccomp_notif call{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
    answered.calls.push_back(call.data.nr);
    seccomp_notif_resp answer{};
    answer.id = call.id;
    if (call.data.nr == SYS_execve) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (call.data.nr != SYS_execve) answer.error = -77;
    (void)::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

class Agent {
 public:
  explicit Agent(const std::string& path) : socket_{sys::listen_unix(path, SOCK_STREAM, 4, 0600).value()} {
    thread_ = std::thread{[this] { answered_ = serve(socket_); }};
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent() { join(); }
  const Answered& join() {
    if (!thread_.joinable()) return answered_;
    (void)sys::shutdown(socket_.get(), SHUT_RDWR);  // if nobody came
    thread_.join();
    return answered_;
  }

 private:
  UniqueFd socket_;
  Answered answered_;
  std::thread thread_;
};

// Each call of ours between the load and the exec would be answered with an error, or never.
Change notify(const std::string& path, std::vector<std::string> names, std::vector<std::string> flags = {}) {
  return [=](oci::Spec& spec) {
    spec.linux.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW", .flags = flags, .listener_path = path, .listener_metadata = "some \"metadata\""};
    spec.linux.seccomp->syscalls = {{.names = names, .action = "SCMP_ACT_NOTIFY"}};
  };
}

bool has_listeners() {
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, nullptr) != 0 && errno == EFAULT;
}

}  // namespace

TEST_CASE("config-linux.md#containerprocessstate: the agent of run answers, and is told who asks") {
  REQUIRE_E2E();
  if (!has_listeners()) HUSK_SKIP("needs seccomp listeners in the kernel");
  for (const bool killable : {false, true}) {
    CAPTURE(killable);
    Bench bench;
    Agent agent{bench.path("agent")};
    const auto flags = killable ? std::vector<std::string>{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"} : std::vector<std::string>{};
    const auto done = bench.husk({"run", "-b", bench.shell_bundle("mkdir /tmp/x; echo on", [&](oci::Spec& spec) {
      notify(bench.path("agent"), {"mkdir", "mkdirat", "execve", "sendmsg", "poll"}, flags)(spec);
      if (!killable) return;
      spec.annotations.emplace_back("run.oci.seccomp.receiver", spec.linux.seccomp->listener_path);  // crun's name for it
      spec.linux.seccomp->listener_path.clear();
    }), bench.id()});
    CHECK_MESSAGE(done.status.code == 0, done.err);
    CHECK(contains(done.out, "on\n"));
    CHECK_MESSAGE(contains(done.err, "mkdir"), done.err);
    const auto& answered = agent.join();
    CHECK(answered.descriptors == 1);
    const auto json = oci::parse_json(answered.message);
    REQUIRE_OK(json);
    CHECK_MESSAGE(contains(answered.message, R"("ociVersion":"1.3.0","fds":["seccompFd"],"pid":)"), answered.message);
    CHECK(contains(answered.message, R"("metadata":"some \"metadata\"")"));
    CHECK(contains(answered.message, R"("id":")" + bench.id() + "\""));
    REQUIRE(!answered.calls.empty());
    CHECK(answered.calls.front() == SYS_execve);  // nothing of ours comes before it
    CHECK(answered.calls.back() == SYS_mkdir);
  }
}

TEST_CASE("config-linux.md#containerprocessstate: create and start, and exec with a listener of its own") {
  REQUIRE_E2E();
  if (!has_listeners()) HUSK_SKIP("needs seccomp listeners in the kernel");
  Bench bench;
  {
    Agent agent{bench.path("agent")};
    const auto bundle = bench.bundle({"/bin/sleep", "1000"}, notify(bench.path("agent"), {"mkdir"}));
    REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
    const auto started = bench.husk({"start", bench.id()});
    REQUIRE_MESSAGE(started.status.code == 0, started.err);
    REQUIRE_OK(sys::unlinkat(AT_FDCWD, bench.path("agent")));
    {
      Agent second{bench.path("agent")};
      const auto done = bench.husk({"exec", bench.id(), "mkdir", "/tmp/y"});
      CHECK(done.status.code == 1);
      const auto& answered = second.join();
      CHECK(contains(answered.message, R"("status":"running")"));
      CHECK(answered.calls == std::vector<int>{SYS_mkdir});
    }
    // Nobody answers: exec says so, and nothing ran.
    REQUIRE_OK(sys::unlinkat(AT_FDCWD, bench.path("agent")));
    const auto alone = bench.husk({"exec", bench.id(), "echo", "ran"});
    CHECK(alone.status.code != 0);
    CHECK(!contains(alone.out, "ran"));
    CHECK_MESSAGE(contains(alone.err, "connect to the seccomp agent"), alone.err);
    CHECK(bench.husk({"delete", "-f", bench.id()}).status.code == 0);
    CHECK(contains(agent.join().message, R"("status":"created")"));
  }
}

TEST_CASE("config-linux.md#seccomp: a listener that cannot be reached is one error, and nothing is left") {
  REQUIRE_E2E();
  if (!has_listeners()) HUSK_SKIP("needs seccomp listeners in the kernel");
  Bench bench;
  const auto before = bench.world();
  const auto missing = bench.husk({"run", "-b", bench.shell_bundle("echo ran", notify("/nonexistent/agent", {"mkdir"})), bench.id()});
  CHECK(missing.status.code == 1);
  CHECK_MESSAGE(contains(missing.err, "/linux/seccomp/listenerPath"), missing.err);
  {
    // A socket that nobody listens on.
    const auto dead = sys::listen_unix(bench.path("dead"), SOCK_STREAM, 1, 0600);
    REQUIRE_OK(dead);
  }
  const auto bundle = bench.shell_bundle("echo ran", notify(bench.path("dead"), {"mkdir"}));
  const auto refused = bench.husk({"run", "-b", bundle, bench.id()});
  CHECK(refused.status.code == 1);
  CHECK(!contains(refused.out, "ran"));
  CHECK_MESSAGE(contains(refused.err, "connect to the seccomp agent"), refused.err);
  REQUIRE(bench.husk({"create", "-b", bundle, bench.id()}).status.code == 0);
  CHECK(bench.husk({"start", bench.id()}).status.code == 1);
  CHECK(bench.husk({"state", bench.id()}).status.code != 0);
  REQUIRE(bench.shell("rm -r " + bench.root() + "/.seccomp").status.code == 0);  // kept on purpose
  CHECK_WORLD(bench, before);
}
