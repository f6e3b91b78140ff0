// One container of the pod: its verbs, as calls of `husk`, and what is known about its life.
//   creating → created → running → exited; remove() ends it in any phase but creating.
// Its exit is told when the first process is reaped and its output so far is logged: the record is
// durable on disk before the event leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "monitor/container_io.h"
#include "monitor/exec_table.h"
#include "monitor/oom.h"
#include "monitor/protocol.h"
#include "monitor/reaper.h"
#include "monitor/runtime_caller.h"

namespace husk::monitor {

// What a container uses of the monitor.
struct Surroundings {
  EventLoop& loop;
  Reaper& reaper;
  RuntimeCaller& runtime;
  ExecTable& execs;
  std::span<char> scratch;
  std::string containers_directory;  // DIR/containers
  std::function<void(const Event&)> publish;
};

using Answer = std::function<void(Result<Reply>)>;

// A stop that is on its way, and everybody who waits for it.
struct Stopping {
  std::int64_t deadline_ns = 0;
  std::optional<EventLoop::Token> timer;
  bool killed = false;
  std::vector<Answer> answers;
};

class Container : public std::enable_shared_from_this<Container> {
 public:
  Container(Surroundings& surroundings, const Request& request);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  ~Container();

  void create(const Answer& answer);  // after an error the container is over: forget it
  void start(const Answer& answer);
  void stop(int signal, std::int64_t timeout_ms, const Answer& answer);
  void kill(int signal, const Answer& answer);
  void exec(const Request& request, std::array<UniqueFd, 2> targets, const Answer& answer);
  void remove(const Answer& answer);
  Status reopen_log() { return io_->reopen_log(); }

  const std::string& id() const { return id_; }
  bool is_creating() const { return phase_ == Phase::creating; }
  bool is_alive() const { return phase_ != Phase::exited; }
  ContainerInfo info() const;

 private:
  enum class Phase : std::uint8_t { creating, created, running, exited };
  RuntimeCommand command(std::vector<std::string> arguments, std::int64_t timeout_ns) const;
  Status prepare();
  Status on_created();
  void undo_create(const Error& error, const Answer& answer);
  void watch_memory();
  void on_oom();
  void on_ended(ExitStatus status, std::int64_t when_ns);
  void record_exit(ExitStatus status, std::int64_t when_ns);
  void end_leftovers();
  void arm_stop_timer(std::int64_t after_ns);
  void on_stop_timer();
  void kill_everything();
  void answer_stops(const Status& status);
  void on_deleted(const Status& deleted, const Answer& answer);
  Reply reply() const;
  Error wrong_state(std::string_view what) const;

  Surroundings& around_;
  Request request_;
  std::string id_;
  std::string directory_;
  std::unique_ptr<ContainerIo> io_;
  std::unique_ptr<OomWatch> oom_;
  MemoryCgroup cgroup_;
  bool has_own_cgroup_ = false;

  Phase phase_ = Phase::creating;
  pid_t pid_ = 0;
  std::int64_t created_at_ns_ = 0;
  std::int64_t started_at_ns_ = 0;
  std::optional<ExitRecord> exit_;

  bool starting_ = false;  // `husk start` is running; an exit meanwhile waits for its result
  std::optional<std::pair<ExitStatus, std::int64_t>> early_exit_;
  bool removing_ = false;
  bool ending_leftovers_ = false;
  std::function<void()> after_leftovers_;

  std::optional<Stopping> stopping_;
};

}  // namespace husk::monitor
