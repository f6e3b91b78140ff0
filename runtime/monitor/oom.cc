#include "monitor/oom.h"

#include <sys/epoll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/unescape.h"

namespace husk::monitor {
namespace {

bool lists(std::string_view comma_list, std::string_view name) {
  const auto parts = split(comma_list, ',');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

struct Choice {
  std::string path;
  bool unified = false;
  bool has_memory = false;
};

// Lines are "N:controllers:/path"; the unified one has no controllers. Source: man 7 cgroups.
// With v1 the memory line counts, or else one that is not the root.
Choice choose_path(std::string_view proc_cgroup) {
  std::string unified;
  std::string other;
  for (const auto line : split(proc_cgroup, '\n')) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const std::string path{line.substr(second + 1)};
    if (lists(controllers, "memory")) return {.path = path, .unified = false, .has_memory = true};
    if (controllers.empty()) {
      unified = path;
    } else if (other.size() < 2) {
      other = path;
    }
  }
  if (unified.size() > 1 || other.empty()) return {.path = unified, .unified = true, .has_memory = true};
  return {.path = other, .unified = false, .has_memory = false};
}

// Fields of a mountinfo line: id parent major:minor root mount-point options … - type source super-options.
std::string find_directory(std::string_view mountinfo, const std::string& path, bool unified) {
  for (const auto line : split(mountinfo, '\n')) {
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    if (right[0] != (unified ? "cgroup2" : "cgroup")) continue;
    if (!unified && !lists(right[2], "memory")) continue;
    const auto root = left[3] == "/" ? std::string{} : unescape_octal(left[3]);
    const bool below = path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
    if (!below) continue;  // "/pod" is not above "/pod1"
    return unescape_octal(left[4]) + path.substr(root.size());
  }
  return {};
}

}  // namespace

MemoryCgroup find_memory_cgroup(std::string_view proc_cgroup, std::string_view mountinfo) {
  const auto choice = choose_path(proc_cgroup);
  MemoryCgroup cgroup{.path = choice.path, .directory = {}, .unified = choice.unified};
  if (choice.has_memory && !choice.path.empty()) cgroup.directory = find_directory(mountinfo, choice.path, choice.unified);
  return cgroup;
}

Result<MemoryCgroup> read_memory_cgroup(pid_t pid) {
  const auto cgroup = TRY(read_file(format_text("/proc/{}/cgroup", pid)));
  const auto mounts = TRY(read_file("/proc/self/mountinfo"));
  return find_memory_cgroup(cgroup, mounts);
}

std::optional<std::uint64_t> parse_oom_kills(std::string_view text) {
  constexpr std::string_view key = "oom_kill ";
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    const auto value = parse_uint64(line.substr(key.size()));
    if (value.has_value()) return value.value();
  }
  return std::nullopt;
}

std::uint64_t next_notified(bool unified, std::string_view counter, std::uint64_t notified, std::uint64_t latest) {
  if (latest > notified) return latest;
  const bool only_stopped = unified || counter.find("oom_kill_disable 1") != std::string_view::npos;
  return only_stopped ? notified : notified + 1;
}

std::unique_ptr<OomWatch> OomWatch::create(EventLoop& loop, const MemoryCgroup& cgroup, std::function<void()> notify) {
  std::unique_ptr<OomWatch> watch{new OomWatch{loop}};
  watch->notify_ = std::move(notify);
  if (cgroup.directory.empty()) return watch;
  const auto* name = cgroup.unified ? "/memory.events" : "/memory.oom_control";
  auto counter = sys::openat(AT_FDCWD, cgroup.directory + name, O_RDONLY);
  if (!counter.has_value()) return watch;  // the memory controller is not enabled here
  watch->counter_ = std::move(counter).value();
  watch->unified_ = cgroup.unified;
  watch->baseline_ = watch->read_count().value_or(0);
  watch->latest_ = watch->baseline_;
  watch->notified_ = watch->baseline_;
  const auto subscribed = watch->subscribe(cgroup);
  if (!subscribed.has_value()) log::warning(Error{subscribed.error()}.during("watch for out of memory").to_string());
  return watch;
}

OomWatch::~OomWatch() {
  if (token_.has_value()) loop_.remove(*token_);
}

Status OomWatch::subscribe(const MemoryCgroup& cgroup) {
  if (cgroup.unified) {
    event_ = TRY(sys::inotify_init());
    TRY(sys::inotify_add_watch(event_.get(), cgroup.directory + "/memory.events", IN_MODIFY));
  } else {
    event_ = TRY(sys::eventfd());
    const auto line = format_text("{} {}", event_.get(), counter_.get());
    TRY(write_existing(AT_FDCWD, cgroup.directory + "/cgroup.event_control", line));
  }
  token_ = TRY(loop_.add(event_.get(), EPOLLIN, [this](auto) { on_event(); }));
  return ok();
}

void OomWatch::on_event() {
  std::array<char, 512> text{};
  if (!sys::read_some(event_.get(), text).has_value()) return;
  const auto state = sys::pread_some(counter_.get(), text, 0);
  if (!state.has_value()) {  // v1 also reports the removal of the cgroup, where nothing is left to count
    loop_.remove(*token_);
    token_.reset();
    return;
  }
  (void)kills();
  const auto next = next_notified(unified_, {text.data(), state.value()}, notified_, latest_);
  if (next == notified_) return;
  notified_ = next;
  notify_();
}

std::optional<std::uint64_t> OomWatch::read_count() const {
  if (!counter_.is_open()) return std::nullopt;
  std::array<char, 1024> text{};
  const auto got = sys::pread_some(counter_.get(), text, 0);
  if (!got.has_value()) return std::nullopt;
  return parse_oom_kills({text.data(), got.value()});
}

std::uint64_t OomWatch::kills() {
  latest_ = std::max(latest_, read_count().value_or(0));
  return latest_ - baseline_;
}

}  // namespace husk::monitor
