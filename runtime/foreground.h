// `run` and `exec` in the foreground: forwards signals, carries the terminal's bytes, reaps, and
// returns the status of the process.
#pragma once

#include <optional>

#include "base/result.h"
#include "base/sys.h"
#include "base/unique_fd.h"
#include "notify.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

// The size of the terminal on our stdin, for the container's own; nothing without one.
std::optional<oci::ConsoleSize> own_terminal_size();

// Catches the signals that are to be forwarded; made before the clone so that none is lost.
class Foreground {
 public:
  static Result<Foreground> create(bool subreaper);

  // Waits for `pid` (a child of ours). `terminal`: the master of its terminal, or closed.
  // Exit code, or 128 + signal, as runc and crun give it.
  // `notify`: passed on meanwhile; we stay the main process that the host's service manager knows.
  Result<int> wait(pid_t pid, const UniqueFd& pidfd, UniqueFd terminal, const NotifyProxy* notify = nullptr);

 private:
  explicit Foreground(UniqueFd signals) : signals_{std::move(signals)} {}
  UniqueFd signals_;
};

}  // namespace husk::runtime
