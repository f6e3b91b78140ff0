#include "cri/monitor_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::cri {
namespace {

constexpr int kEndTimeoutMs = 10'000;

std::vector<std::string> command_line(pid_t pid) {
  std::vector<std::string> words;
  const auto text = read_file(format_text("/proc/{}/cmdline", pid), 1U << 20U);
  if (!text.has_value()) return words;
  for (const auto word : split(text.value(), '\0')) words.emplace_back(word);
  return words;
}

bool is_program(const std::vector<std::string>& words, std::string_view name) {
  return !words.empty() && words[0].substr(words[0].rfind('/') + 1) == name;
}
bool has_word(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

template <class Wanted>
Result<std::vector<pid_t>> find_processes(Wanted wanted) {
  std::vector<pid_t> found;
  const auto proc = TRY(sys::openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY));
  const auto entries = TRY(sys::list_dir(proc.get()));
  for (const auto& entry : entries) {
    const auto pid = parse_uint32(entry.name);
    if (pid.has_value() && wanted(command_line(static_cast<pid_t>(pid.value())))) found.push_back(static_cast<pid_t>(pid.value()));
  }
  return found;
}

// Looks again after the pidfd is open: from then on the pid cannot become another process.
template <class Wanted>
Status kill_process(pid_t pid, Wanted wanted) {
  const auto pidfd = sys::pidfd_open(pid);
  if (!pidfd.has_value()) return pidfd.error().kind() == Kind::not_found ? ok() : Status{pidfd.error()};
  if (!wanted(command_line(pid))) return ok();
  const auto sent = sys::pidfd_send_signal(pidfd.value().get(), SIGKILL);
  if (!sent.has_value()) return sent.error().kind() == Kind::not_found ? ok() : sent;
  std::vector<sys::PollEntry> entries{{.fd = pidfd.value().get(), .events = POLLIN}};
  if (TRY(sys::poll(entries, kEndTimeoutMs)) == 0)
    return Error{Kind::timed_out, format_text("process {} did not end within {} ms after SIGKILL", pid, kEndTimeoutMs)};
  return ok();
}

template <class Wanted>
Status kill_all(Wanted wanted) {
  const auto found = TRY(find_processes(wanted));
  for (const auto pid : found) TRY(kill_process(pid, wanted));
  return ok();
}

}  // namespace

Status kill_monitor(const std::string& pod_directory) {
  TRY(kill_all([&](const auto& words) { return is_program(words, "husk-monitor") && has_word(words, pod_directory); }));
  // Its runtime calls name the pod's bundles.
  const auto bundles = pod_directory + "/bundles/";
  return kill_all([&](const auto& words) {
    return is_program(words, "husk") && std::ranges::any_of(words, [&](const auto& word) { return word.starts_with(bundles); });
  });
}

Status kill_creation(const std::string& container_id) {
  return kill_all([&](const auto& words) { return is_program(words, "husk") && has_word(words, "create") && has_word(words, container_id); });
}

}  // namespace husk::cri
