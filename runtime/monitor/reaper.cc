#include "monitor/reaper.h"

#include <sys/wait.h>

#include <utility>

#include "base/sys.h"

namespace husk::monitor {
namespace {

constexpr int kLostExitCode = 255;
constexpr std::size_t kMaxUnknown = 1024;  // against a storm of orphans

}  // namespace

void Reaper::reap_all() {
  for (;;) {
    const auto result = sys::waitid_any(WEXITED | WNOHANG);
    if (!result.has_value() || result.value().pid == 0) return;  // no children, or none that ended
    ended(result.value().pid, {.code = result.value().status, .signal = result.value().signal});
  }
}

void Reaper::ended(pid_t pid, ExitStatus status) {
  const auto found = watched_.find(pid);
  if (found != watched_.end()) {
    const auto handler = std::move(found->second);
    watched_.erase(found);
    return handler(status);
  }
  if (holds_ > 0 && unknown_.size() < kMaxUnknown) unknown_[pid] = status;
}

void Reaper::watch(pid_t pid, Handler handler) {
  const auto found = unknown_.find(pid);
  if (found == unknown_.end()) {
    // A process that is not our child would be waited for in vain: the runtime reaped it, or lied.
    const auto child = sys::waitpid(pid, WNOHANG | WNOWAIT);
    if (!child.has_value()) return handler({.code = kLostExitCode});
    watched_[pid] = std::move(handler);
    return;
  }
  const auto status = found->second;
  unknown_.erase(found);
  handler(status);
}

}  // namespace husk::monitor
