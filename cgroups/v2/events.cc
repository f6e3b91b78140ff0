#include "cgroups/v2/events.h"

#include <poll.h>

#include <array>
#include <cerrno>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "cgroups/control_file.h"

namespace husk::cgroups::v2 {
namespace {

constexpr std::int64_t kNsPerMs = 1000000;

std::string events_file(const std::string& directory) { return directory + "/cgroup.events"; }

bool is_removed(const Error& error) { return error.os_errno() == ENODEV || error.os_errno() == ENOENT; }

}  // namespace

Status wait_for_event(const std::string& directory, std::string_view key, std::uint64_t value, int timeout_ms) {
  const std::int64_t deadline = now_monotonic_ns() + timeout_ms * kNsPerMs;
  const bool removal_will_do = key == "populated" && value == 0;
  const auto file = sys::openat(AT_FDCWD, events_file(directory), O_RDONLY);
  if (!file.has_value()) return removal_will_do && is_removed(file.error()) ? ok() : Status{file.error()};
  for (;;) {
    std::array<char, 256> buffer;
    const auto size = sys::pread_some(file.value().get(), buffer, 0);
    if (!size.has_value()) return removal_will_do && is_removed(size.error()) ? ok() : Status{size.error()};
    if (keyed_number({buffer.data(), size.value()}, key) == value) return ok();
    const auto left = (deadline - now_monotonic_ns()) / kNsPerMs;
    if (left <= 0)
      return Error{Kind::timed_out, format_text("{} did not reach \"{} {}\" in {} ms", events_file(directory), key, value,
                                                timeout_ms)};
    std::vector<sys::PollEntry> entries{{.fd = file.value().get(), .events = POLLPRI}};
    TRY(sys::poll(entries, static_cast<int>(left)));
  }
}

Result<std::uint64_t> read_event(const std::string& directory, std::string_view key) {
  const auto text = TRY(read_file(events_file(directory)));
  return keyed_number(text, key);
}

}  // namespace husk::cgroups::v2
