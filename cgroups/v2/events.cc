#include "cgroups/v2/events.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <functional>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/control_file.h"

namespace husk::cgroups::v2 {
namespace {

constexpr std::int64_t kNsPerMs = 1000000;

std::string events_file(const std::string& directory) { return directory + "/cgroup.events"; }

bool is_removed(const Error& error) { return error.os_errno() == ENODEV || error.os_errno() == ENOENT; }

Status wait_for(const std::string& directory, const std::function<Result<bool>(std::string_view)>& reached, std::string_view what,
                int timeout_ms) {
  const std::int64_t deadline = now_monotonic_ns() + timeout_ms * kNsPerMs;
  const auto file = TRY(sys::openat(AT_FDCWD, events_file(directory), O_RDONLY));
  for (;;) {
    std::array<char, 256> buffer;
    const auto size = TRY(sys::pread_some(file.get(), buffer, 0));
    if (TRY(reached({buffer.data(), size}))) return ok();
    const auto left = (deadline - now_monotonic_ns()) / kNsPerMs;
    if (left <= 0)
      return Error{Kind::timed_out, format_text("{} did not reach {} in {} ms", events_file(directory), quote(what), timeout_ms)};
    std::vector<sys::PollEntry> entries{{.fd = file.get(), .events = POLLPRI}};
    TRY(sys::poll(entries, static_cast<int>(left)));
  }
}

}  // namespace

Status wait_for_event(const std::string& directory, std::string_view key, std::uint64_t value, int timeout_ms) {
  const auto reached = [&](std::string_view text) -> Result<bool> { return keyed_number(text, key) == value; };
  auto done = wait_for(directory, reached, format_text("{} {}", key, value), timeout_ms);
  const bool removal_will_do = key == "populated" && value == 0;
  return !done.has_value() && removal_will_do && is_removed(done.error()) ? ok() : done;
}

Status freeze_and_wait(const std::string& directory, int timeout_ms) {
  const auto still = [&](std::string_view text) -> Result<bool> {
    if (keyed_number(text, "frozen") == 1 || keyed_number(text, "populated") == 0) return true;
    TRY(write_existing(AT_FDCWD, directory + "/cgroup.freeze", "1"));
    return false;
  };
  TRY(write_existing(AT_FDCWD, directory + "/cgroup.freeze", "1"));
  return wait_for(directory, still, "frozen 1", timeout_ms);
}

Result<std::uint64_t> read_event(const std::string& directory, std::string_view key) {
  const auto text = TRY(read_file(events_file(directory)));
  return keyed_number(text, key);
}

}  // namespace husk::cgroups::v2
