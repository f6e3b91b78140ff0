#include <sys/socket.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "cri/monitor_client.h"
#include "harness/harness.h"

using namespace husk;       // NOLINT: a test
using namespace husk::cri;  // NOLINT

namespace {

// A monitor of a few lines: answers each request by a function, on a thread of its own.
class Peer {
 public:
  using Work = std::function<void(int fd, const monitor::Request&, const sys::Received&)>;
  Peer(const std::string& directory, Work work) : work_{std::move(work)} {
    auto listening = sys::listen_unix(directory + "/monitor.sock", SOCK_SEQPACKET, 4, 0600);
    REQUIRE_OK(listening);
    listening_ = std::move(listening).value();
    thread_ = std::thread{[this] { serve(); }};
  }
  ~Peer() { thread_.join(); }

 private:
  void serve() {
    auto fd = sys::accept(listening_.get());
    if (!fd.has_value()) return;
    while (true) {
      const auto received = sys::receive_message(fd.value().get(), monitor::kMaxMessage);
      if (!received.has_value() || received.value().end_of_file) return;
      const auto request = monitor::decode_request(received.value().data);
      if (!request.has_value()) return;
      if (request.value().op == monitor::Op::shutdown) return;  // leaves without an answer
      work_(fd.value().get(), request.value(), received.value());
    }
  }
  Work work_;
  UniqueFd listening_;
  std::thread thread_;
};

class Listener : public MonitorEvents {
 public:
  void container_exited(const std::string& pod_id, const monitor::ExitRecord& record) override {
    note(format_text("exit {} {} {}", pod_id, record.id, record.exit_code));
  }
  void monitor_lost(const std::string& pod_id) override { note("lost " + pod_id); }
  std::string wait() {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, std::chrono::seconds{10}, [this] { return !notes_.empty(); });
    if (notes_.empty()) return "nothing";
    const auto first = notes_.front();
    notes_.erase(notes_.begin());
    return first;
  }

 private:
  void note(std::string text) {
    const std::lock_guard lock{mutex_};
    notes_.push_back(std::move(text));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> notes_;
};

std::unique_ptr<MonitorHub> make_hub(MonitorPrograms programs = {}) {
  auto hub = MonitorHub::create(std::move(programs));
  REQUIRE_OK(hub);
  return std::move(hub).value();
}

}  // namespace

TEST_CASE("answers may come in any order; each caller gets its own") {
  const husk::test::TempDir directory;
  std::vector<monitor::Request> waiting;
  Peer peer{directory.path(), [&](int fd, const monitor::Request& request, const sys::Received&) {
              if (request.op != monitor::Op::exec) return;
              waiting.push_back(request);
              if (waiting.size() < 3) return;
              for (auto item = waiting.rbegin(); item != waiting.rend(); ++item)
                (void)sys::send_message(fd, monitor::encode(monitor::Reply{.number = item->number, .exit_code = std::stoi(item->id)}));
            }};
  const auto hub = make_hub();
  const auto monitor = hub->connect("pod", directory.path());
  REQUIRE_OK(monitor);
  std::vector<PodMonitor::Answer> answers;
  for (const auto* id : {"1", "2", "3"}) answers.push_back(monitor.value()->send({.op = monitor::Op::exec, .id = id, .process = "{}"}));
  for (int i = 0; i < 3; ++i) CHECK(wait_for(answers[static_cast<std::size_t>(i)], 10'000, "exec").value().exit_code == i + 1);
  monitor.value()->expect_end();
  CHECK(monitor.value()->call({.op = monitor::Op::shutdown}, 10'000).error().kind() == Kind::unavailable);
}

TEST_CASE("errors keep their kind; descriptors reach the monitor; too large a request is refused here") {
  const husk::test::TempDir directory;
  Peer peer{directory.path(), [&](int fd, const monitor::Request& request, const sys::Received& received) {
              if (request.op == monitor::Op::exec) {
                (void)sys::write_all(received.fds.at(0).get(), "through the descriptor");
                (void)sys::send_message(fd, monitor::encode(monitor::Reply{.number = request.number, .ok = false, .error = "too slow", .error_kind = "timed_out"}));
              }
            }};
  const auto hub = make_hub();
  const auto monitor = hub->connect("pod", directory.path()).value();
  const auto out = sys::memfd_create("out", 0).value();
  const auto answer = monitor->call({.op = monitor::Op::exec, .id = "c", .process = "{}"}, 10'000, {out.get()});
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().kind() == Kind::timed_out);
  CHECK(answer.error().to_string().find("too slow") != std::string::npos);
  REQUIRE_OK(sys::lseek(out.get(), 0, SEEK_SET));
  CHECK(read_all(out.get()).value() == "through the descriptor");
  const auto large = monitor->call({.op = monitor::Op::exec, .id = "c", .process = std::string(monitor::kMaxMessage, 'x')}, 1000);
  CHECK(large.error().kind() == Kind::invalid);
  // No answer in time: the caller goes on, and a late answer hurts nobody.
  CHECK(monitor->call({.op = monitor::Op::start, .id = "c"}, 20).error().kind() == Kind::timed_out);
  monitor->expect_end();
  (void)monitor->send({.op = monitor::Op::shutdown});
}

TEST_CASE("events reach the listener; a lost monitor is told once and fails who waits") {
  const husk::test::TempDir directory;
  Listener listener;
  Peer peer{directory.path(), [&](int fd, const monitor::Request& request, const sys::Received&) {
              if (request.op == monitor::Op::subscribe)
                (void)sys::send_message(fd, monitor::encode(monitor::Event{.what = "exited", .exit = {.id = "c", .exit_code = 9}}));
              if (request.op == monitor::Op::hello) (void)sys::send_message(fd, "nonsense {");
            }};
  const auto hub = make_hub();
  hub->set_listener(&listener);
  const auto monitor = hub->connect("pod", directory.path()).value();
  CHECK(listener.wait() == "exit pod c 9");
  auto waiting = monitor->send({.op = monitor::Op::hello});
  (void)monitor->send({.op = monitor::Op::shutdown});
  CHECK(wait_for(waiting, 10'000, "hello").error().kind() == Kind::unavailable);
  CHECK(listener.wait() == "lost pod");
  CHECK(monitor->call({.op = monitor::Op::hello}, 1000).error().kind() == Kind::unavailable);
}

TEST_CASE("nobody listens, no such program, a program that ends at once: clear errors") {
  const husk::test::TempDir directory;
  const auto hub = make_hub({.monitor = "/bin/false", .husk = "/bin/false", .runtime_root = "/r"});
  CHECK_FALSE(hub->connect("pod", directory.path()).has_value());
  auto starting = hub->start("pod", directory.path());
  REQUIRE_OK(starting);
  const auto finished = starting.value()->finish();
  REQUIRE_FALSE(finished.has_value());
  CHECK(finished.error().to_string().find("ended at once") != std::string::npos);
  const auto missing = make_hub({.monitor = "/no/such/husk-monitor", .husk = "/bin/false", .runtime_root = "/r"});
  CHECK_FALSE(missing->start("pod", directory.path()).has_value());
}
