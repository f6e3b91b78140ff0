#include "cgroups/v1/freezer.h"

#include <poll.h>


#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cgroups::v1 {
namespace {

constexpr std::int64_t kNsPerMs = 1000000;
constexpr int kFreezeAttempts = 2000;
constexpr int kThawEvery = 50;

Status set_state(const std::string& directory, const char* state) {
  return write_existing(AT_FDCWD, directory + "/freezer.state", state);
}

}  // namespace

// freezer.state has no event, and may stay FREEZING while a task forks or is traced: writing again
// asks the kernel to try again. So this is the one bounded retry with a pause: v1 offers nothing else.
// Source: cgroup-v1/freezer-subsystem.rst.
Status freeze(const std::string& directory) {
  for (int attempt = 0; attempt < kFreezeAttempts; ++attempt) {
    TRY(set_state(directory, "FROZEN"));
    const bool frozen = TRY(is_frozen(directory));
    if (frozen) return ok();
    // A task that waits for one that is frozen already (vfork, ptrace) freezes only after all went on once more.
    if (attempt % kThawEvery == kThawEvery - 1) TRY(set_state(directory, "THAWED"));
    std::vector<sys::PollEntry> nothing;
    if (attempt > 2) TRY(sys::poll(nothing, 1));
  }
  TRY(set_state(directory, "THAWED"));
  return Error{Kind::timed_out, format_text("{}/freezer.state stayed FREEZING", directory)}.hint(
      "a process that waits for a device or a network file system cannot be frozen");
}

Status thaw(const std::string& directory) { return set_state(directory, "THAWED"); }

Result<bool> is_frozen(const std::string& directory) {
  const auto state = TRY(read_file(directory + "/freezer.state"));
  return trim(state) == "FROZEN";
}

Status wait_for_exit(const std::vector<pid_t>& processes, int timeout_ms) {
  const std::int64_t deadline = now_monotonic_ns() + timeout_ms * kNsPerMs;
  for (const auto pid : processes) {
    const auto pidfd = sys::pidfd_open(pid);
    if (!pidfd.has_value()) continue;  // gone
    const auto left = (deadline - now_monotonic_ns()) / kNsPerMs;
    std::vector<sys::PollEntry> entries{{.fd = pidfd.value().get(), .events = POLLIN}};
    const int ready = TRY(sys::poll(entries, left > 0 ? static_cast<int>(left) : 0));
    if (ready == 0)
      return Error{Kind::timed_out, format_text("process {} did not end within {} ms of SIGKILL", pid, timeout_ms)};
  }
  return ok();
}

}  // namespace husk::cgroups::v1
