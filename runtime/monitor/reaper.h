// Every child and adopted orphan of the monitor is reaped here, and only here. A pid is ours until
// reap_all() took it, so kill(pid) of a watched process cannot hit a stranger.
// Source: man 2 prctl, PR_SET_CHILD_SUBREAPER; man 2 waitid.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>

#include "base/process.h"

namespace husk::monitor {

class Reaper {
 public:
  using Handler = std::function<void(ExitStatus)>;

  Reaper() = default;
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;
  ~Reaper() { forget_all(); }

  void reap_all();  // on SIGCHLD

  // `handler` runs once, from reap_all(); or at once when the process was reaped during a hold.
  void watch(pid_t pid, Handler handler);

  // Drops every handler, with what they own (holds of this reaper among it).
  void forget_all() { watched_.clear(); }

  // While `husk create` or `husk exec` runs, a process that it leaves to us may end before we know
  // its pid: exit statuses of unknown processes are kept as long as a hold exists.
  class Hold {
   public:
    explicit Hold(Reaper& reaper) : reaper_{reaper} { ++reaper_.holds_; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if (--reaper_.holds_ == 0) reaper_.unknown_.clear();
    }

   private:
    Reaper& reaper_;
  };

 private:
  void ended(pid_t pid, ExitStatus status);

  std::map<pid_t, Handler> watched_;
  std::map<pid_t, ExitStatus> unknown_;
  int holds_ = 0;
};

}  // namespace husk::monitor
