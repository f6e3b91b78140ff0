// Out-of-memory kills of one container: where its memory cgroup is, how many processes the kernel
// has killed in it, and a notification when that happens.
// Counts are cumulative, so the count at the start is subtracted.
// Source: kernel cgroup-v2.rst memory.events; cgroup-v1/memory.rst sections 9 and 10.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

struct MemoryCgroup {
  std::string path;       // below the hierarchy's root, as in /proc/PID/cgroup; "" = unknown
  std::string directory;  // "" = no memory controller mounted
  bool unified = false;
};

// Pure: texts of /proc/PID/cgroup and /proc/self/mountinfo.
MemoryCgroup find_memory_cgroup(std::string_view proc_cgroup, std::string_view mountinfo);
Result<MemoryCgroup> read_memory_cgroup(pid_t pid);
// The value of "oom_kill N" in memory.events or memory.oom_control; nullopt when it is not there.
std::optional<std::uint64_t> parse_oom_kills(std::string_view text);

// After an event: how many kills are told by now; above `notified` means that one is to be told. v2 changes the file
// after the kill, and for other reasons, too. v1 fires before it, so the count may not have risen: the event itself
// counts, unless the kernel only stops the processes (oom_kill_disable). Pure; `counter` is the file's text.
// Source: cgroup-v1/memory.rst section 10; mem_cgroup_oom_notify() in mm/memcontrol-v1.c.
std::uint64_t next_notified(bool unified, std::string_view counter, std::uint64_t notified, std::uint64_t latest);

class OomWatch {
 public:
  // `notify` runs at each kill. Notification is best effort (two at once may be told as one), counting is not.
  static std::unique_ptr<OomWatch> create(EventLoop& loop, const MemoryCgroup& cgroup, std::function<void()> notify);
  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;
  ~OomWatch();

  // Kills since create(); remembers the last answer, as the cgroup may vanish with its last process.
  std::uint64_t kills();

 private:
  explicit OomWatch(EventLoop& loop) : loop_{loop} {}
  Status subscribe(const MemoryCgroup& cgroup);
  void on_event();
  std::optional<std::uint64_t> read_count() const;

  EventLoop& loop_;
  bool unified_ = false;
  UniqueFd counter_;  // memory.events or memory.oom_control
  UniqueFd event_;    // inotify (v2) or eventfd (v1)
  std::optional<EventLoop::Token> token_;
  std::function<void()> notify_;
  std::uint64_t baseline_ = 0;
  std::uint64_t latest_ = 0;
  std::uint64_t notified_ = 0;
};

}  // namespace husk::monitor
