#include "cri/monitor_client.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr int kStartTimeoutMs = 20'000;
constexpr int kEndTimeoutMs = 1'000;

PodMonitor::Answer failed_answer(Error error) {
  std::promise<Result<monitor::Reply>> promise;
  auto answer = promise.get_future();
  promise.set_value(std::move(error));
  return answer;
}

class Connection : public PodMonitor {
 public:
  Connection(std::string pod_id, UniqueFd socket, std::optional<Child> child)
      : pod_id_{std::move(pod_id)}, socket_{std::move(socket)}, child_{std::move(child)} {}
  // huskd leaves, pods stay.
  ~Connection() override {
    (void)lose();
    if (child_.has_value()) (void)child_->release();
  }

  Answer send(monitor::Request request, const std::vector<int>& descriptors) override {
    const std::lock_guard lock{mutex_};
    if (lost_) return failed_answer(gone());
    request.number = ++last_number_;
    const auto text = monitor::encode(request);
    if (text.size() > monitor::kMaxMessage)
      return failed_answer(Error{Kind::invalid, format_text("the request is too large for husk-monitor: {} bytes, at most {}",
                                                            text.size(), monitor::kMaxMessage)});
    auto sent = sys::send_message(socket_.get(), text, descriptors);
    if (!sent.has_value()) return failed_answer(std::move(sent).error().during("ask husk-monitor"));
    return pending_[request.number].get_future();
  }
  void expect_end() override {
    const std::lock_guard lock{mutex_};
    expected_ = true;
  }

  const std::string& pod_id() const { return pod_id_; }
  int fd() const { return socket_.get(); }

  void deliver(monitor::Reply reply) {
    std::promise<Result<monitor::Reply>> promise;
    {
      const std::lock_guard lock{mutex_};
      const auto at = pending_.find(reply.number);
      if (at == pending_.end()) return;  // nobody waits: the answer to "subscribe"
      promise = std::move(at->second);
      pending_.erase(at);
    }
    promise.set_value(std::move(reply));
  }

  // Every caller that waits gets an error. Returns whether the end came as a surprise.
  bool lose() {
    const std::lock_guard lock{mutex_};
    lost_ = true;
    for (auto& [number, promise] : pending_) promise.set_value(gone());
    pending_.clear();
    return !expected_;
  }
  // After lose(): our child must not stay a zombie. One that lives on only dropped this connection.
  void reap() {
    if (!child_.has_value()) return;
    const auto ended = child_->wait_for(kEndTimeoutMs);
    if (!ended.has_value() || !ended.value().has_value()) (void)child_->release();
    child_.reset();
  }

 private:
  Error gone() const { return Error{Kind::unavailable, format_text("husk-monitor of pod {} has ended", pod_id_)}; }

  std::string pod_id_;
  UniqueFd socket_;
  std::optional<Child> child_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::promise<Result<monitor::Reply>>> pending_;
  std::uint64_t last_number_ = 0;
  bool lost_ = false;
  bool expected_ = false;
};

}  // namespace

Result<monitor::Reply> wait_for(PodMonitor::Answer& answer, std::int64_t timeout_ms, std::string_view what) {
  if (timeout_ms >= 0 && answer.wait_for(std::chrono::milliseconds{timeout_ms}) != std::future_status::ready)
    return Error{Kind::timed_out, format_text("husk-monitor did not answer \"{}\" within {} ms", what, timeout_ms)};
  auto reply = TRY(answer.get());
  if (!reply.ok) return monitor::to_error(reply);
  return reply;
}

Result<monitor::Reply> PodMonitor::call(monitor::Request request, std::int64_t timeout_ms,
                                        const std::vector<int>& descriptors) {
  static constexpr std::array kNames{"hello", "subscribe", "create", "start",  "stop",    "kill",
                                     "exec",  "reopen_log", "remove", "status", "shutdown"};
  const auto op = static_cast<std::size_t>(request.op);
  auto answer = send(std::move(request), descriptors);
  return wait_for(answer, timeout_ms, op < kNames.size() ? kNames.at(op) : "?");
}

class MonitorHub::Impl {
 public:
  Impl(MonitorPrograms programs, UniqueFd epoll, UniqueFd wake)
      : programs_{std::move(programs)}, epoll_{std::move(epoll)}, wake_{std::move(wake)} {}

  Status begin() {
    TRY(sys::epoll_control(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), EPOLLIN, 0));
    reader_ = std::thread{[this] { read_all(); }};
    events_ = std::thread{[this] { deliver_events(); }};
    return ok();
  }
  void end() {
    constexpr std::array<char, 8> kOne{1};
    (void)sys::write_some(wake_.get(), {kOne.data(), kOne.size()});
    if (reader_.joinable()) reader_.join();
    {
      const std::lock_guard lock{queue_mutex_};
      stopping_ = true;
    }
    queue_changed_.notify_all();
    if (events_.joinable()) events_.join();
  }

  Result<std::shared_ptr<PodMonitor>> connect(const std::string& pod_id, const std::string& directory,
                                              std::optional<Child> child) {
    auto socket = TRY(sys::connect_unix(directory + "/monitor.sock", SOCK_SEQPACKET).during("connect to husk-monitor"));
    // A monitor that does not read must not stop huskd: a full socket is an error of that request.
    TRY(sys::set_nonblocking(socket.get(), true));
    auto connection = std::make_shared<Connection>(pod_id, std::move(socket), std::move(child));
    {
      const std::lock_guard lock{mutex_};
      const auto token = ++last_token_;
      connections_.emplace(token, connection);
      auto added = sys::epoll_control(epoll_.get(), EPOLL_CTL_ADD, connection->fd(), EPOLLIN, token);
      if (!added.has_value()) {
        connections_.erase(token);
        return std::move(added).error();
      }
    }
    (void)connection->send({.op = monitor::Op::subscribe}, {});
    return std::shared_ptr<PodMonitor>{connection};
  }

  const MonitorPrograms& programs() const { return programs_; }
  MonitorEvents* listener = nullptr;

 private:
  void read_all() {
    while (true) {
      const auto ready = sys::epoll_wait(epoll_.get(), -1);
      if (!ready.has_value()) {
        log::error(ready.error().to_string());
        return;
      }
      for (const auto& event : ready.value()) {
        if (event.data == 0) return;
        read_one(event.data);
      }
    }
  }

  void read_one(std::uint64_t token) {
    std::shared_ptr<Connection> connection;
    {
      const std::lock_guard lock{mutex_};
      const auto at = connections_.find(token);
      if (at == connections_.end()) return;
      connection = at->second;
    }
    auto received = sys::receive_message(connection->fd(), monitor::kMaxMessage);
    if (!received.has_value() && received.error().kind() == Kind::busy) return;
    if (!received.has_value() || received.value().end_of_file) return drop(token, connection);
    auto message = monitor::decode_server_message(received.value().data);
    if (!message.has_value()) {
      log::warning(format_text("pod {}: husk-monitor sent nonsense: {}", connection->pod_id(), message.error().to_string()));
      return;
    }
    if (message.value().reply.has_value()) connection->deliver(std::move(*message.value().reply));
    if (message.value().event.has_value() && message.value().event->what == "exited")
      queue([this, pod = connection->pod_id(), exit = message.value().event->exit] {
        if (listener != nullptr) listener->container_exited(pod, exit);
      });
  }

  void drop(std::uint64_t token, const std::shared_ptr<Connection>& connection) {
    (void)sys::epoll_control(epoll_.get(), EPOLL_CTL_DEL, connection->fd(), 0, 0);
    {
      const std::lock_guard lock{mutex_};
      connections_.erase(token);
    }
    const bool surprise = connection->lose();
    queue([this, connection, surprise] {
      connection->reap();
      if (surprise && listener != nullptr) listener->monitor_lost(connection->pod_id());
    });
  }

  void queue(std::function<void()> event) {
    {
      const std::lock_guard lock{queue_mutex_};
      queue_.push_back(std::move(event));
    }
    queue_changed_.notify_one();
  }

  // Listeners write to disk; replies must not wait for that. Hence a thread of its own.
  void deliver_events() {
    while (true) {
      std::function<void()> event;
      {
        std::unique_lock lock{queue_mutex_};
        queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        event = std::move(queue_.front());
        queue_.pop_front();
      }
      event();
    }
  }

  MonitorPrograms programs_;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::uint64_t last_token_ = 0;
  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread reader_;
  std::thread events_;
};

namespace {

class StartingMonitor : public Monitors::Starting {
 public:
  StartingMonitor(MonitorHub::Impl& hub, std::string pod_id, std::string directory, Child child, UniqueFd ready)
      : hub_{hub}, pod_id_{std::move(pod_id)}, directory_{std::move(directory)}, child_{std::move(child)}, ready_{std::move(ready)} {}

  Result<std::shared_ptr<PodMonitor>> finish() override {
    std::vector<sys::PollEntry> entries{{.fd = ready_.get(), .events = POLLIN}};
    if (TRY(sys::poll(entries, kStartTimeoutMs)) == 0)
      return Error{Kind::timed_out, format_text("husk-monitor is not ready after {} ms", kStartTimeoutMs)};
    std::array<char, 1> byte{};
    const auto got = TRY(sys::read_some(ready_.get(), byte));
    if (got != 1) {
      const auto said = read_file(directory_ + "/monitor.log", 64U << 10U);
      return Error{Kind::internal, format_text("husk-monitor ended at once: {}",
                                               said.has_value() ? trim(said.value()) : std::string_view{"it said nothing"})};
    }
    return hub_.connect(pod_id_, directory_, std::move(child_));
  }

 private:
  MonitorHub::Impl& hub_;
  std::string pod_id_;
  std::string directory_;
  Child child_;
  UniqueFd ready_;
};

}  // namespace

MonitorHub::MonitorHub(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
MonitorHub::~MonitorHub() { impl_->end(); }

Result<std::unique_ptr<MonitorHub>> MonitorHub::create(MonitorPrograms programs) {
  auto epoll = TRY(sys::epoll_create());
  auto wake = TRY(sys::eventfd());
  auto impl = std::make_unique<Impl>(std::move(programs), std::move(epoll), std::move(wake));
  auto hub = std::unique_ptr<MonitorHub>{new MonitorHub{std::move(impl)}};
  TRY(hub->impl_->begin());
  return hub;
}

void MonitorHub::set_listener(MonitorEvents* listener) { impl_->listener = listener; }

Result<std::unique_ptr<Monitors::Starting>> MonitorHub::start(const std::string& pod_id, const std::string& directory) {
  auto pipe = TRY(sys::pipe2());
  const auto log = TRY(sys::openat(AT_FDCWD, directory + "/monitor.log", O_WRONLY | O_CREAT | O_APPEND, 0600));
  const auto& programs = impl_->programs();
  SpawnOptions options;
  options.path = programs.monitor;
  options.arguments = {"husk-monitor", "--pod-id", pod_id, "--dir", directory, "--husk", programs.husk,
                       "--runtime-root", programs.runtime_root};
  options.descriptors = {{.from = log.get(), .target = 2}, {.from = pipe.write_end.get(), .target = monitor::kReadyFd}};
  options.new_session = true;
  auto child = TRY(spawn(options).during("start husk-monitor"));
  pipe.write_end.reset();
  return std::unique_ptr<Starting>{std::make_unique<StartingMonitor>(*impl_, pod_id, directory, std::move(child), std::move(pipe.read_end))};
}

Result<std::shared_ptr<PodMonitor>> MonitorHub::connect(const std::string& pod_id, const std::string& directory) {
  return impl_->connect(pod_id, directory, std::nullopt);
}

}  // namespace husk::cri
