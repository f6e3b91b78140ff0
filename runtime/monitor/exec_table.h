// Commands that run inside containers (`husk exec --detach`, as ExecSync needs them): started,
// their output carried, their exit codes answered, cut off by their time-outs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/process.h"
#include "base/result.h"
#include "monitor/output_pump.h"
#include "monitor/reaper.h"
#include "monitor/runtime_caller.h"

namespace husk::monitor {

struct ExecOptions {
  std::string container;
  std::string directory;  // the container's, for the process document and the pid file
  std::string process;
  std::int64_t timeout_ms = 0;
  std::uint64_t max_output = 0;
  bool systemd_cgroup = false;
  std::array<UniqueFd, 2> targets;  // stdout, stderr
};

class ExecTable {
 public:
  ExecTable(EventLoop& loop, Reaper& reaper, RuntimeCaller& runtime, std::span<char> scratch);
  ExecTable(const ExecTable&) = delete;
  ExecTable& operator=(const ExecTable&) = delete;
  ~ExecTable();

  using Done = std::function<void(Result<std::int32_t> exit_code)>;
  void start(ExecOptions options, Done done);
  std::size_t size() const { return sessions_.size(); }

 private:
  using Id = std::uint64_t;
  struct Session;
  Status prepare(Session& session, Id id);
  RuntimeCommand command_of(const Session& session) const;
  void on_started(Id id, Status started);
  void on_ended(Id id, ExitStatus status);
  void on_time_out(Id id);
  void on_changed(Id id);
  void fail(Id id, Error error);

  EventLoop& loop_;
  Reaper& reaper_;
  RuntimeCaller& runtime_;
  std::span<char> scratch_;
  std::map<Id, std::unique_ptr<Session>> sessions_;
  Id next_ = 1;
};

}  // namespace husk::monitor
