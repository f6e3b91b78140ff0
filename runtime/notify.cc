#include "notify.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr std::string_view kVariable = "NOTIFY_SOCKET=";
constexpr const char* kInside = "/run/notify";
constexpr const char* kSocketName = "notify.sock";
constexpr std::size_t kMaxDatagram = 4096;  // systemd's own limit is the same: NOTIFY_BUFFER_MAX

enum class Value : std::uint8_t { one, number, text };
struct Line {
  std::string_view key;
  Value value;
};
// Of man 3 sd_notify, without what speaks of other processes (MAINPID, MAINPIDFD), of descriptors (FDSTORE, BARRIER),
// of rights (NOTIFYACCESS) and of the unit's settings (WATCHDOG_USEC, FDPOLL).
constexpr std::array kPassed{Line{"READY=", Value::one},     Line{"RELOADING=", Value::one},
                             Line{"STOPPING=", Value::one},  Line{"WATCHDOG=", Value::one},
                             Line{"ERRNO=", Value::number},  Line{"EXTEND_TIMEOUT_USEC=", Value::number},
                             Line{"MONOTONIC_USEC=", Value::number}, Line{"STATUS=", Value::text}};

bool is_fine(std::string_view text, Value value) {
  if (value == Value::one) return text == "1";
  if (value == Value::number) return parse_uint64(text).has_value();
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool may_pass(std::string_view line) {
  return std::ranges::any_of(kPassed, [&](const Line& row) {
    return line.starts_with(row.key) && is_fine(line.substr(row.key.size()), row.value);
  });
}

// Until systemd has read all that we said: it looks up who spoke while we are still there.
// Source: man 3 sd_notify_barrier.
Status wait_until_heard(const UniqueFd& host) {
  constexpr int kLimitMs = 5'000;
  auto pipe = TRY(sys::pipe2());
  TRY(sys::send_message(host.get(), "BARRIER=1", {pipe.write_end.get()}));
  pipe.write_end.reset();
  std::vector<sys::PollEntry> entries{{.fd = pipe.read_end.get(), .events = POLLIN}};
  if (TRY(sys::poll(entries, kLimitMs)) == 0) log::debug("nobody answered the barrier on $NOTIFY_SOCKET");
  return ok();
}

}  // namespace

void add_notify(oci::Spec& spec, const std::string& directory) {
  if (!spec.process.has_value()) return;
  for (const auto& item : spec.process->env)
    if (item.starts_with(kVariable)) return;
  spec.process->env.push_back(format_text("{}{}/{}", kVariable, kInside, kSocketName));
  // Private: what is mounted there inside must not come out through a peer on the host.
  spec.mounts.push_back({.destination = kInside,
                         .type = "bind",
                         .source = directory,
                         .options = {"bind", "ro", "nosuid", "nodev", "noexec", "private"}});
}

std::string passable_notifications(std::string_view datagram) {
  std::string lines;
  for (const auto line : split(datagram, '\n'))
    if (may_pass(line)) lines += format_text("{}\n", line);
  return lines;
}

bool says_ready(std::string_view lines) {
  return lines.starts_with("READY=1\n") || lines.find("\nREADY=1\n") != std::string_view::npos;
}

Result<NotifyProxy> NotifyProxy::open(const std::string& directory, const std::string& host) {
  if (!host.starts_with('/') && !host.starts_with('@'))
    return Error{Kind::invalid, format_text("NOTIFY_SOCKET={}: must be an absolute path or begin with @", quote(host))};
  auto speaker = TRY(sys::connect_unix(host, SOCK_DGRAM).during("reach $NOTIFY_SOCKET"));
  const auto path = format_text("{}/{}", directory, kSocketName);
  (void)sys::unlinkat(AT_FDCWD, path);  // of a start that was killed
  auto listener = TRY(sys::listen_unix(path, SOCK_DGRAM, 0, 0666).during("make the container's notify socket"));
  TRY(sys::fchmodat(AT_FDCWD, path, 0666));  // whatever our umask is: the program may be any user
  return NotifyProxy{std::move(listener), std::move(speaker)};
}

Result<bool> NotifyProxy::pass_on(std::optional<pid_t> main_pid) const {
  const auto received = TRY(sys::receive_message(container_.get(), kMaxDatagram));  // descriptors are closed again
  if (received.truncated && received.data.size() == kMaxDatagram) return false;
  const auto lines = passable_notifications(received.data);
  if (lines.empty()) return false;
  const bool ready = says_ready(lines);
  const auto main = ready && main_pid.has_value() ? format_text("MAINPID={}\n", *main_pid) : "";
  TRY(sys::send_message(host_.get(), main + lines).during("write to $NOTIFY_SOCKET"));
  if (ready) TRY(wait_until_heard(host_));
  return ready;
}

Status NotifyProxy::wait_ready(pid_t pid, const UniqueFd& pidfd) const {
  for (;;) {
    std::vector<sys::PollEntry> entries{{.fd = fd(), .events = POLLIN}, {.fd = pidfd.get(), .events = POLLIN}};
    TRY(sys::poll(entries, -1));
    if (entries[0].revents != 0) {
      if (TRY(pass_on(pid))) return ok();
    } else if (entries[1].revents != 0) {
      return ok();  // its end is what the host's service manager sees next
    }
  }
}

}  // namespace husk::runtime
