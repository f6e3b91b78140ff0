// husk-criu: speaks CRIU's RPC for husk, so that husk itself needs no protobuf. husk starts it with two descriptors:
// the socket for events, and the request.
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "criu/log_tail.h"
#include "criu/options.h"
#include "criu/service.h"
#include "restored_label.h"

namespace husk::criu {
namespace {

constexpr std::size_t kMaxLog = 256U << 10U;  // its end is what counts

Status tell(int socket, const Event& event, const std::vector<int>& fds = {}) {
  return sys::send_message(socket, write_event(event), fds);
}

Event failed(const Error& error) {
  return {.kind = "failed", .text = Error{error.kind(), error.what(), error.os_errno()}.to_string(), .hint = error.hint_text()};
}

// What husk-criu knows of the container.
struct Job {
  int socket;
  const Request& request;
  std::string label = {};  // restore: that the first process must have; "" = none was asked for
  int init = 0;            // restore
};

// Looks after labels at the moments when nobody was killed yet, and when nobody runs yet.
Status look_at_label(const Job& job, Event& event) {
  if (event.script == "post-dump") {
    event.text = TRY(runtime::label_of(job.request.pid));
    return job.request.needs_label ? runtime::check_saved_label(job.request.images_fd, event.text) : ok();
  }
  if (event.script != "pre-resume") return ok();
  const auto good = runtime::check_restored_label(job.label, job.init);
  if (good.has_value()) return ok();
  const auto wrong = failed(good.error());
  event.text = wrong.text;
  event.hint = wrong.hint;
  return ok();
}

// husk decides; it closes its end when it is gone.
Status ask_husk(Job& job, const rpc::criu_notify& moment, const UniqueFd& fd) {
  const int socket = job.socket;
  Event event{.kind = "notify", .script = moment.script(), .pid = moment.pid()};
  if (event.pid != 0) job.init = event.pid;
  TRY(look_at_label(job, event));
  TRY(tell(socket, event, fd.is_open() ? std::vector<int>{fd.get()} : std::vector<int>{}));
  const auto answer = TRY(sys::receive_message(socket, kMaxEvent));
  if (answer.data == kGoOn) return ok();
  return Error{Kind::cancelled, "husk gave up"};
}

// The page server is ready: one zero byte. Source: man 8 criu, --status-fd.
Status tell_ready(int fd) {
  if (fd < 0) return ok();
  TRY(sys::write_all(fd, std::string_view{"\0", 1}));
  (void)::close(fd);
  return ok();
}

std::string read_log(const Request& request) {
  const auto log = sys::openat(request.work_fd >= 0 ? request.work_fd : request.images_fd, request.log_file, O_RDONLY | O_NOFOLLOW);
  if (!log.has_value()) return "";
  const auto info = sys::fstat(log.value().get());
  const auto size = info.has_value() ? info.value().st_size : 0;
  if (size > static_cast<off_t>(kMaxLog)) (void)sys::lseek(log.value().get(), size - static_cast<off_t>(kMaxLog), SEEK_SET);
  auto text = read_all(log.value().get(), kMaxLog + 1);
  return text.has_value() ? std::move(text).value() : "";
}

Event explain(const Request& request, const std::string& program, const Error& error) {
  if (error.kind() == Kind::unsupported) return failed(error);  // of look_at_label
  Event event{.kind = "failed", .text = error.to_string()};
  const auto lines = error_lines(read_log(request));
  if (!lines.empty()) event.text = format_text("{}: {}", error.what(), lines);
  const auto host = error.kind() == Kind::cancelled ? "" : find_host_reason(program);
  if (!host.empty()) event.text = format_text("CRIU cannot work on this host: {} ({})", host, event.text);
  const auto remedy = find_remedy(lines);
  event.hint = format_text("{}{}CRIU's log is {}", remedy, remedy.empty() ? "" : "; ", request.log_path);
  return event;
}

Event serve(Job job) {
  const auto& request = job.request;
  const auto program = find_program();
  if (!program.has_value()) return {.kind = "failed", .text = program.error().what(), .hint = program.error().hint_text()};
  if (request.action == "restore") {
    const auto context = runtime::check_mount_context(request.lsm_mount_context);
    if (!context.has_value()) return failed(context.error());
    auto label = runtime::plan_restored_label(request.lsm_profile, request.saved_label, request.needs_label);
    if (!label.has_value()) return failed(label.error());
    job.label = std::move(label).value();
  }
  const auto groups = read_file("/proc/self/cgroup");
  const auto message = make_rpc_request(request, groups.has_value() ? groups.value() : "");
  if (!message.has_value()) return {.kind = "failed", .text = message.error().to_string()};
  const auto done = converse(program.value(), request, message.value(), [&](const auto& moment, const auto& fd) {
    return moment.script() == "status-ready" ? tell_ready(request.status_fd) : ask_husk(job, moment, fd);
  });
  if (!done.has_value()) return explain(request, program.value(), done.error());
  return {.kind = "done", .pid = done.value()};
}

Status run(int socket, int request_fd) {
  (void)sys::set_parent_death_signal(SIGKILL);
  // What husk handed over goes on to CRIU only where the request says so.
  TRY(sys::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC));
  TRY(sys::lseek(request_fd, 0, SEEK_SET));
  const auto text = TRY(read_all(request_fd));
  const auto request = TRY(parse_request(text));
  return tell(socket, serve({.socket = socket, .request = request}));
}

}  // namespace
}  // namespace husk::criu

int main(int argc, char** argv) {
  const auto socket = argc == 3 ? husk::parse_uint32(argv[1]) : husk::Result<std::uint32_t>{husk::Error{husk::Kind::invalid, ""}};
  const auto request = argc == 3 ? husk::parse_uint32(argv[2]) : socket;
  if (!socket.has_value() || !request.has_value()) {
    (void)husk::sys::write_all(STDERR_FILENO, "husk-criu: started by husk checkpoint and husk restore only\n");
    return 2;
  }
  const auto done = husk::criu::run(static_cast<int>(socket.value()), static_cast<int>(request.value()));
  if (done.has_value()) return 0;
  (void)husk::sys::write_all(STDERR_FILENO, husk::format_text("husk-criu: {}\n", done.error().to_string()));
  return 1;
}
