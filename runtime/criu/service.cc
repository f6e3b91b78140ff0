#include "criu/service.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/format.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "criu/log_tail.h"

namespace husk::criu {
namespace {

constexpr std::size_t kMaxAnswer = 64U << 10U;
constexpr int kCheckTimeoutMs = 30'000;

[[noreturn]] void become_criu(const std::string& program, const Request& request, const UniqueFd& socket) {
  // A restore that nobody waits for any more must not go on. A dump must: CRIU has its code in the processes of the
  // container, and takes it out again when it finds us gone.
  if (request.action == "restore") (void)sys::set_parent_death_signal(SIGKILL);
  (void)sys::set_cloexec(socket.get(), false);
  for (const auto& item : request.inherited) (void)sys::set_cloexec(item.fd, false);
  const ArgBlock argv{{"criu", "swrk", format_text("{}", socket.get())}};
  const ArgBlock envp{current_environment()};
  (void)sys::execve(program, argv.get(), envp.get());
  ::_exit(127);  // the parent reads the end of the conversation
}

struct Service {
  UniqueFd socket;
  UniqueFd pidfd;
};

Result<Service> start(const std::string& program, const Request& request) {
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  const bool sibling = request.action == "restore";
  auto clone = TRY(sys::clone3({.flags = sibling ? std::uint64_t{CLONE_PARENT} : 0, .exit_signal = sibling ? 0 : SIGCHLD}));
  if (clone.pid == 0) become_criu(program, request, pair.second);
  return Service{.socket = std::move(pair.first), .pidfd = std::move(clone.pidfd)};
}

Error no_answer() { return {Kind::unavailable, "CRIU ended without an answer"}; }

Status send(const UniqueFd& socket, const rpc::criu_req& message) {
  std::string bytes;
  if (!message.SerializeToString(&bytes)) return Error{Kind::internal, "the request to CRIU is incomplete"};
  auto sent = sys::send_message(socket.get(), bytes);
  if (!sent.has_value() && sent.error().os_errno() == EPIPE) return no_answer();  // it died before we spoke
  return std::move(sent).during("talk to CRIU");
}

struct Answer {
  rpc::criu_resp message;
  UniqueFd fd;
};

// A CRIU that is killed may leave a child with its end of the socket: its own end counts too.
Status wait_for_answer(const Service& service) {
  std::vector<sys::PollEntry> entries{{.fd = service.socket.get(), .events = POLLIN}, {.fd = service.pidfd.get(), .events = POLLIN}};
  TRY(sys::poll(entries, -1));
  return entries[0].revents != 0 ? ok() : Status{no_answer()};
}

Result<Answer> receive(const Service& service) {
  TRY(wait_for_answer(service));
  auto got = sys::receive_message(service.socket.get(), kMaxAnswer);
  // It died with our request unread. Source: unix_release_sock() in net/unix/af_unix.c.
  if (!got.has_value() && got.error().os_errno() == ECONNRESET) return no_answer();
  auto received = TRY(std::move(got));
  if (received.end_of_file || received.data.empty()) return no_answer();
  Answer answer;
  if (received.truncated || !answer.message.ParseFromString(received.data))
    return Error{Kind::internal, "CRIU's answer is not understood"};
  if (!received.fds.empty()) answer.fd = std::move(received.fds.front());
  return answer;
}

Status answer_moment(const UniqueFd& socket, const Answer& answer, const Notify& notify) {
  auto handled = notify(answer.message.notify(), answer.fd);
  rpc::criu_req reply;
  reply.set_type(rpc::NOTIFY);
  reply.set_notify_success(handled.has_value());
  const auto sent = send(socket, reply);
  return handled.has_value() ? sent : handled;
}

Result<int> take_answers(const Service& service, const Notify& notify) {
  std::optional<Error> given_up;
  for (;;) {
    auto answer = receive(service);
    if (!answer.has_value()) return given_up.has_value() ? *given_up : std::move(answer).error();
    const auto& message = answer.value().message;
    if (message.type() == rpc::NOTIFY && message.success()) {
      const auto handled = answer_moment(service.socket, answer.value(), notify);
      if (!handled.has_value() && !given_up.has_value()) given_up = handled.error();
      continue;
    }
    if (given_up.has_value()) return *given_up;
    if (!message.success())
      return Error{Kind::internal, "CRIU failed", message.cr_errno() > 0 ? message.cr_errno() : 0};
    return message.has_restore() ? message.restore().pid() : 0;
  }
}

}  // namespace

Result<std::string> find_program() { return find_host_program("criu").hint("install the package criu"); }

Result<int> converse(const std::string& program, const Request& request, const rpc::criu_req& message, const Notify& notify) {
  auto service = TRY(start(program, request));
  TRY(send(service.socket, message));
  auto done = take_answers(service, notify);
  service.socket.reset();  // after a pre-dump CRIU waits for more until now
  std::vector<sys::PollEntry> entries{{.fd = service.pidfd.get(), .events = POLLIN}};
  TRY(sys::poll(entries, -1));
  if (request.action != "restore") (void)sys::waitid_pidfd(service.pidfd.get(), WEXITED);  // else our parent's child
  return done;
}

std::string find_host_reason(const std::string& program) {
  const auto checked = run({.path = program, .arguments = {"criu", "check"}}, kCheckTimeoutMs);
  if (!checked.has_value() || checked.value().status.success()) return "";
  const auto text = checked.value().out + checked.value().err;
  const auto reason = error_lines(text);
  return reason.empty() ? std::string{trim(text)} : reason;
}

}  // namespace husk::criu
