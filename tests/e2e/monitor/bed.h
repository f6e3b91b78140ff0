// A monitor under test: starts husk-monitor on a directory of its own, talks its protocol.
// Runtime::fake is the script fake_husk beside this file (faults); Runtime::real is husk itself.
#pragma once

#include <signal.h>
#include <sys/socket.h>

#include <deque>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/process.h"
#include "harness/harness.h"
#include "monitor/protocol.h"
#include "oci-spec/json.h"

namespace husk::monitor::test {

using husk::test::error_text;
using husk::test::TempDir;

enum class Runtime : std::uint8_t { fake, real };
inline constexpr int kPatience_ms = 20'000;

// One connection to the monitor.
class Client {
 public:
  explicit Client(const std::string& directory) {
    auto fd = sys::connect_unix(directory + "/monitor.sock", SOCK_SEQPACKET);
    REQUIRE_OK(fd);
    fd_ = std::move(fd).value();
  }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  std::uint64_t send(Request request, const std::vector<int>& fds = {}) {
    request.number = ++number_;
    REQUIRE_OK(sys::send_message(fd_.get(), encode(request), fds));
    return number_;
  }
  Reply wait_reply(std::uint64_t number) {
    Reply found;
    REQUIRE(wait_until(replies_, [&](const Reply& reply) { return reply.number == number; }, found));
    return found;
  }
  Reply call(const Request& request, const std::vector<int>& fds = {}) { return wait_reply(send(request, fds)); }
  Event wait_event(const std::string& what, const std::string& id) {
    Event found;
    REQUIRE(wait_until(events_, [&](const Event& event) { return event.what == what && event.exit.id == id; }, found));
    return found;
  }
  bool has_reply(std::uint64_t number, int timeout_ms) {
    Reply ignored;
    return wait_until(replies_, [&](const Reply& reply) { return reply.number == number; }, ignored, timeout_ms);
  }

 private:
  template <class T>
  bool wait_until(std::deque<T>& queue, const std::type_identity_t<std::function<bool(const T&)>>& wanted, T& found,
                  int timeout_ms = kPatience_ms) {
    const auto deadline = now_monotonic_ns() + std::int64_t{timeout_ms} * 1'000'000;
    for (;;) {
      for (auto item = queue.begin(); item != queue.end(); ++item) {
        if (!wanted(*item)) continue;
        found = *item;
        queue.erase(item);
        return true;
      }
      const auto left = static_cast<int>((deadline - now_monotonic_ns()) / 1'000'000);
      if (left <= 0 || !receive(left)) return false;
    }
  }
  bool receive(int timeout_ms) {
    std::vector<sys::PollEntry> entries{{.fd = fd_.get(), .events = 1}};
    const auto ready = sys::poll(entries, timeout_ms);
    REQUIRE_OK(ready);
    if (ready.value() == 0) return false;
    const auto got = sys::receive_message(fd_.get(), kMaxMessage);
    REQUIRE_OK(got);
    if (got.value().end_of_file) return false;
    const auto message = decode_server_message(got.value().data);
    REQUIRE_OK(message);
    if (message.value().reply.has_value()) replies_.push_back(*message.value().reply);
    if (message.value().event.has_value()) events_.push_back(*message.value().event);
    return true;
  }
  UniqueFd fd_;
  std::uint64_t number_ = 0;
  std::deque<Reply> replies_;
  std::deque<Event> events_;
};

#define CHECK_REPLY(reply) CHECK_MESSAGE((reply).ok, (reply).error)
#define REQUIRE_REPLY(reply) REQUIRE_MESSAGE((reply).ok, (reply).error)

class Bed {
 public:
  explicit Bed(Runtime runtime) : runtime_{runtime} {
    auto pipe = sys::pipe2();
    REQUIRE_OK(pipe);
    const auto husk = runtime == Runtime::real ? husk::test::program("husk")
                                               : husk::test::source_dir() + "/tests/e2e/monitor/fake_husk";
    auto child = spawn({.path = husk::test::program("husk-monitor"),
                        .arguments = {"husk-monitor", "--pod-id", "pod1", "--dir", dir(), "--husk", husk,
                                      "--runtime-root", dir_ / "state"},
                        .descriptors = {{.from = pipe.value().write_end.get(), .target = kReadyFd},
                                        {.from = 2, .target = 2}},
                        .new_session = true});
    REQUIRE_OK(child);
    monitor_ = std::move(child).value();
    pipe.value().write_end.reset();
    const auto ready = read_all(pipe.value().read_end.get());
    REQUIRE_OK(ready);
    REQUIRE(ready.value() == "R");
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;
  // Whatever a test left running ends with it.
  ~Bed() {
    if (monitor_.pid() < 0) return;
    auto fd = sys::connect_unix(dir() + "/monitor.sock", SOCK_SEQPACKET);
    if (!fd.has_value()) return;
    (void)sys::send_message(fd.value().get(), encode(Request{.number = 1, .op = Op::hello}));
    const auto hello = sys::receive_message(fd.value().get(), kMaxMessage);
    if (!hello.has_value()) return;
    const auto message = decode_server_message(hello.value().data);
    if (!message.has_value() || !message.value().reply.has_value()) return;
    for (const auto& container : message.value().reply->containers) {
      (void)sys::send_message(fd.value().get(), encode(Request{.number = 2, .op = Op::remove, .id = container.id}));
      (void)sys::receive_message(fd.value().get(), kMaxMessage);
    }
    (void)sys::send_message(fd.value().get(), encode(Request{.number = 3, .op = Op::shutdown, .force = true}));
    (void)monitor_.wait_for(5000);
  }

  std::string dir() const { return dir_ / "pod"; }
  std::string path(const std::string& name) const { return dir_ / name; }
  Child& monitor() { return monitor_; }
  Client connect() const { return Client{dir()}; }

  // A bundle whose container runs `script`; with the fake runtime, `fault` names a fault file.
  std::string bundle(const std::string& id, const std::string& script, const std::string& fault = "",
                     const std::function<void(oci::Json&)>& change = nullptr) {
    const auto path = dir_ / ("bundle-" + id);
    REQUIRE_OK(make_directories(path));
    if (runtime_ == Runtime::fake) {
      write(path + "/cmd", script);
      if (!fault.empty()) write(path + "/" + fault, "");
      return path;
    }
    auto config = config_json(script);
    if (change) change(config);
    write(path + "/config.json", config.dump(2));
    REQUIRE_OK(make_directories(path + "/rootfs/bin"));
    for (const auto* name : {"proc", "dev", "sys", "tmp"}) REQUIRE_OK(make_directories(path + "/rootfs/" + name));
    const auto busybox = read_file("/bin/busybox");
    REQUIRE_OK(busybox);
    REQUIRE_OK(write_atomically(AT_FDCWD, path + "/rootfs/bin/busybox", busybox.value(), 0755));
    for (const auto* name : {"sh", "cat", "echo", "sleep", "head", "dd", "true", "kill", "yes", "stty", "tr", "printf", "setsid", "seq", "grep", "tail"})
      (void)sys::symlinkat("busybox", AT_FDCWD, path + "/rootfs/bin/" + name);
    return path;
  }
  Request create_request(const std::string& id, const std::string& script, const std::string& fault = "") {
    return {.op = Op::create, .id = id, .bundle = bundle(id, script, fault), .log_path = log_path(id)};
  }
  std::string log_path(const std::string& id) const { return dir_ / ("logs/" + id + "/0.log"); }
  // A process document that runs `script`; the fake runtime knows no quotes in it.
  std::string process(const std::string& script) const {
    if (runtime_ == Runtime::fake) return oci::Json::object().set("sh", script).dump();
    return process_json(script).dump();
  }

  // create and start; returns the pid.
  int run(Client& client, const Request& create) {
    const auto created = client.call(create);
    REQUIRE_REPLY(created);
    REQUIRE(created.containers.size() == 1);
    const auto started = client.call({.op = Op::start, .id = create.id});
    REQUIRE_REPLY(started);
    return created.containers[0].pid;
  }
  // The content of the log without times: "stdout F text\n"…
  std::string log_text(const std::string& id) const {
    const auto content = read_file(log_path(id));
    REQUIRE_OK(content);
    std::string out;
    for (const auto line : split(content.value(), '\n'))
      if (!line.empty()) out += std::string{line.substr(line.find(' ') + 1)} + "\n";
    return out;
  }
  ExitRecord exit_record(const std::string& id) const {
    const auto text = read_file(dir() + "/containers/" + id + "/exit.json");
    REQUIRE_OK(text);
    const auto record = decode_exit_record(text.value());
    REQUIRE_OK(record);
    return record.value();
  }

 private:
  static void write(const std::string& path, const std::string& text) {
    REQUIRE_OK(write_atomically(AT_FDCWD, path, text));
  }
  static oci::Json process_json(const std::string& script) {
    oci::Json process = oci::Json::object();
    process.set("args", std::vector<std::string>{"/bin/sh", "-c", script}).set("cwd", "/");
    process.set("env", std::vector<std::string>{"PATH=/bin"}).set("user", oci::Json::object().set("uid", 0).set("gid", 0));
    return process;
  }
  static oci::Json config_json(const std::string& script) {
    using oci::Json;
    Json config = Json::object();
    config.set("ociVersion", "1.2.0").set("process", process_json(script));
    config.set("root", Json::object().set("path", "rootfs")).set("hostname", "test");
    Json mounts = Json::array();
    mounts.push(Json::object().set("destination", "/proc").set("type", "proc").set("source", "proc"));
    config.set("mounts", mounts);
    Json namespaces = Json::array();
    for (const auto* type : {"pid", "mount", "ipc", "uts"}) namespaces.push(Json::object().set("type", type));
    config.set("linux", Json::object().set("namespaces", namespaces));
    return config;
  }

  Runtime runtime_;
  TempDir dir_;
  Child monitor_;
};

// A memfd for the output of an exec.
class Sink {
 public:
  Sink() {
    auto fd = sys::memfd_create("sink", 0);
    REQUIRE_OK(fd);
    fd_ = std::move(fd).value();
  }
  int fd() const { return fd_.get(); }
  std::string text() const {
    REQUIRE_OK(sys::lseek(fd_.get(), 0, SEEK_SET));
    const auto content = read_all(fd_.get());
    REQUIRE_OK(content);
    return content.value();
  }

 private:
  UniqueFd fd_;
};

// CPU time of a process in clock ticks: a loop that spins shows.
inline std::uint64_t cpu_ticks(int pid) {
  const auto stat = read_file(format_text("/proc/{}/stat", pid));
  REQUIRE_OK(stat);
  const auto fields = split(std::string_view{stat.value()}.substr(stat.value().rfind(')') + 2), ' ');
  return parse_uint64(fields[11]).value() + parse_uint64(fields[12]).value();
}

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kSanitizerKib = 65'536;  // its shadow, and what it keeps of freed memory
#else
constexpr std::uint64_t kSanitizerKib = 0;
#endif

inline std::uint64_t rss_kib(int pid, const std::string& key = "VmRSS:") {
  const auto status = read_file(format_text("/proc/{}/status", pid));
  REQUIRE_OK(status);
  const auto at = status.value().find(key);
  REQUIRE(at != std::string::npos);
  const auto line = trim(std::string_view{status.value()}.substr(at + key.size(), 20));
  return parse_uint64(line.substr(0, line.find(' '))).value();
}

inline std::size_t open_fds(int pid) {
  const auto dir = sys::openat(AT_FDCWD, format_text("/proc/{}/fd", pid), O_RDONLY | O_DIRECTORY);
  REQUIRE_OK(dir);
  return sys::list_dir(dir.value().get()).value().size();
}

}  // namespace husk::monitor::test
