#include "criu_call.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"

namespace husk::runtime {
namespace {

constexpr const char* kProgram = "husk-criu";
constexpr const char* kDefaultConfig = "/etc/criu/husk.conf";
constexpr std::string_view kAdopted = "adopted";

std::vector<int> descriptors_of(const criu::Request& request) {
  std::vector<int> fds;
  for (const int fd : {request.images_fd, request.work_fd, request.status_fd})
    if (fd >= 0) fds.push_back(fd);
  for (const auto& item : request.inherited) fds.push_back(item.fd);
  return fds;
}

// In the child. Returns only on failure.
Status become_husk_criu(const CriuCall& call, const std::string& program, const UniqueFd& socket) {
  if (call.adopt && TRY(sys::receive_message(socket.get(), kAdopted.size())).data != kAdopted)
    return Error{Kind::internal, "husk gave up"};
  auto request = call.request;
  if (call.prepare) TRY(call.prepare(request));
  const auto memory = TRY(sys::memfd_create("husk-criu-request", MFD_CLOEXEC));
  TRY(sys::write_all(memory.get(), criu::write_request(request)));
  for (const int fd : descriptors_of(request)) TRY(sys::set_cloexec(fd, false));
  TRY(sys::set_cloexec(socket.get(), false));
  TRY(sys::set_cloexec(memory.get(), false));
  const ArgBlock argv{std::vector<std::string>{kProgram, format_text("{}", socket.get()), format_text("{}", memory.get())}};
  const ArgBlock envp{current_environment()};
  return sys::execve(program, argv.get(), envp.get()).hint(format_text("{} belongs beside husk", kProgram));
}

[[noreturn]] void run_child(const CriuCall& call, const std::string& program, const UniqueFd& socket) {
  (void)sys::set_parent_death_signal(SIGKILL);
  const auto failed = become_husk_criu(call, program, socket);
  const auto& error = failed.error();
  const auto reason = Error{error.kind(), error.what(), error.os_errno()}.to_string();
  const criu::Event event{.kind = "failed", .text = reason, .hint = error.hint_text()};
  (void)sys::send_message(socket.get(), criu::write_event(event));  // else its end tells
  ::_exit(1);
}

Status adopt(const UniqueFd& socket, const CriuCall& call, pid_t child) {
  if (!call.adopt) return ok();
  TRY(call.adopt(child));
  return sys::send_message(socket.get(), kAdopted);
}

Result<pid_t> follow(const UniqueFd& socket, const CriuCall& call) {
  std::optional<Error> given_up;
  for (;;) {
    auto got = sys::receive_message(socket.get(), criu::kMaxEvent);
    if (!got.has_value() && given_up.has_value()) return *given_up;  // who gave up has killed husk-criu too
    auto received = TRY(std::move(got));
    if (received.end_of_file || received.data.empty())
      return given_up.has_value() ? *given_up : Error{Kind::unavailable, format_text("{} ended without a word", kProgram)};
    const auto event = TRY(criu::parse_event(received.data).during(kProgram));
    if (event.kind == "done") return given_up.has_value() ? Result<pid_t>{*given_up} : Result<pid_t>{event.pid};
    if (event.kind == "failed") {
      if (given_up.has_value()) return *given_up;
      Error error{Kind::internal, event.text};
      return event.hint.empty() ? std::move(error) : std::move(error).hint(event.hint);
    }
    log::debug(format_text("criu: {}", event.script));
    auto handled = call.notify ? call.notify(event, received.fds.empty() ? UniqueFd{} : std::move(received.fds.front())) : ok();
    if (!handled.has_value() && !given_up.has_value()) given_up = handled.error();
    const auto sent = sys::send_message(socket.get(), handled.has_value() ? criu::kGoOn : std::string_view{"give up"});
    if (!sent.has_value()) return given_up.has_value() ? *given_up : sent.error();
  }
}

}  // namespace

Result<pid_t> call_criu(const CriuCall& call) {
  const auto program = TRY(sibling_program(kProgram));
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  auto clone = TRY(sys::clone3({.cgroup_fd = call.cgroup_fd}).during("start husk-criu"));
  if (clone.pid == 0) {
    pair.first.reset();  // what waits for the parent must see its end
    run_child(call, program, pair.second);
  }
  pair.second.reset();
  auto adopted = adopt(pair.first, call, clone.pid);
  auto done = adopted.has_value() ? follow(pair.first, call) : Result<pid_t>{adopted.error()};
  pair.first.reset();  // whatever it still waits for
  (void)sys::waitid_pidfd(clone.pidfd.get(), WEXITED);
  return done;
}

std::string criu_config_file(const std::vector<std::pair<std::string, std::string>>& annotations) {
  for (const auto& [key, value] : annotations)
    if (key == kCriuConfigAnnotation) return value;
  return kDefaultConfig;
}

Status require_root_for_criu() {
  if (::geteuid() == 0) return ok();
  return Error{Kind::denied, "CRIU needs root: a plain user cannot save or restore processes"}.hint("run husk as root");
}

}  // namespace husk::runtime
