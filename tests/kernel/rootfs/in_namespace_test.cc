#include "in_namespace.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"

namespace husk::test {
namespace {

constexpr int kLimitMs = 20'000;

Status write_identity_maps(pid_t pid) {
  TRY(write_existing(AT_FDCWD, format_text("/proc/{}/uid_map", pid), "0 100000 65536"));
  return write_existing(AT_FDCWD, format_text("/proc/{}/gid_map", pid), "0 100000 65536");
}

Status become_root() {
  TRY(sys::setgroups({}));
  TRY(sys::setresgid(0));
  return sys::setresuid(0);
}

[[noreturn]] void run_child(const std::function<Status()>& body, const Sandbox& sandbox, sys::Pipe go, sys::Pipe report) {
  (void)sys::set_parent_death_signal(SIGKILL);
  go.write_end.reset();
  (void)read_all(go.read_end.get(), 16);  // until the maps are written
  Status done = ok();
  if ((sandbox.more_namespaces & CLONE_NEWUSER) != 0) done = become_root();
  // Nothing of a test may reach the machine, whatever the body does.
  if (done.has_value()) done = sys::mount_setattr(AT_FDCWD, "/", 0x8000 /* AT_RECURSIVE */, {.propagation = MS_SLAVE});
  if (done.has_value()) done = body();
  (void)sys::write_all(report.write_end.get(), done.has_value() ? "ok" : done.error().to_string());
  ::_exit(0);
}

}  // namespace

std::string run_in_namespace(const std::function<Status()>& body, const Sandbox& sandbox) {
  auto go = sys::pipe2();
  auto report = sys::pipe2();
  if (!go.has_value() || !report.has_value()) return "pipe2 failed";
  auto clone = sys::clone3({.flags = CLONE_NEWNS | sandbox.more_namespaces});
  if (!clone.has_value()) return clone.error().to_string();
  if (clone.value().pid == 0) run_child(body, sandbox, std::move(go).value(), std::move(report).value());
  report.value().write_end.reset();
  if ((sandbox.more_namespaces & CLONE_NEWUSER) != 0) {
    const auto written = write_identity_maps(clone.value().pid);
    if (!written.has_value()) return written.error().to_string();
  }
  go.value().write_end.reset();
  std::vector<sys::PollEntry> ready{{.fd = clone.value().pidfd.get(), .events = 1 /* POLLIN */}};
  const auto ended = sys::poll(ready, kLimitMs);
  if (!ended.has_value() || ended.value() == 0) (void)sys::pidfd_send_signal(clone.value().pidfd.get(), SIGKILL);
  (void)sys::waitid_pidfd(clone.value().pidfd.get(), WEXITED);
  const auto text = read_all(report.value().read_end.get());
  if (!text.has_value()) return text.error().to_string();
  if (text.value().empty()) return "the child crashed or hung";
  return text.value() == "ok" ? "" : text.value();
}

std::string text_of(const std::string& path) {
  const auto text = read_file(path);
  return text.has_value() ? text.value() : "error: " + text.error().to_string();
}

std::string mount_line(const std::string& target) {
  const auto table = text_of("/proc/self/mountinfo");
  std::string found;
  for (const auto line : split(table, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() > 4 && fields[4] == target) found = std::string{line};
  }
  return found;
}

}  // namespace husk::test
