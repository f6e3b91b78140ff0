// Executes `husk` without blocking the loop, and turns its end into a Status: success, or an Error
// with the text of the last error line in its JSON log (else what it wrote to stderr).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/process.h"
#include "base/result.h"
#include "monitor/reaper.h"

namespace husk::monitor {

struct RuntimeProgram {
  std::string path;  // absolute path of husk
  std::string root;  // --root
};

struct RuntimeCommand {
  std::vector<std::string> arguments;  // the verb and what follows
  std::string log_directory;           // for one file during the call
  bool systemd_cgroup = false;
  std::vector<SpawnOptions::Inherit> descriptors;  // 0, 1 default to /dev/null, 2 to a file of ours
  std::int64_t timeout_ns = 0;                     // then husk is killed and the error is timed_out
  std::function<std::string()> error_text;         // asked when the log has no error line
};

std::vector<std::string> runtime_arguments(const RuntimeProgram& program, const RuntimeCommand& command,
                                           const std::string& log_file);
// The msg of the last line with level "error"; "" when there is none. Lines that are no JSON are skipped.
std::string last_runtime_error(std::string_view log_text);
// Callers branch on kinds, the runtime says texts. They are those that runc's callers know.
Kind kind_of_runtime_text(std::string_view text);

class RuntimeCaller {
 public:
  RuntimeCaller(EventLoop& loop, Reaper& reaper, RuntimeProgram program)
      : loop_{loop}, reaper_{reaper}, program_{std::move(program)} {}

  using Done = std::function<void(Status)>;
  // `done` runs exactly once, from the loop; or at once when husk cannot be executed.
  void call(RuntimeCommand command, Done done);
  // Beside the container's state, where `husk wait` looks: before kernel 6.15 we alone know it.
  // Not while a command of husk holds the container: it may be deleting it.
  void keep_exit_code(const std::string& id, int code) const;

 private:
  struct Call;
  void finish(const std::shared_ptr<Call>& call, ExitStatus status);

  EventLoop& loop_;
  Reaper& reaper_;
  RuntimeProgram program_;
  std::uint64_t next_log_ = 1;
};

}  // namespace husk::monitor
