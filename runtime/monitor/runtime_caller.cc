#include "monitor/runtime_caller.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "oci-spec/json.h"

namespace husk::monitor {
namespace {

constexpr std::size_t kMaxLog = 1U << 20U;
constexpr std::size_t kMaxErrorText = 8192;

struct TextKind {
  std::string_view part;
  Kind kind;
};
constexpr std::array<TextKind, 8> kTextKinds{{{"does not exist", Kind::not_found},
                                              {"container not running", Kind::wrong_state},
                                              {"no such process", Kind::wrong_state},
                                              {"already exists", Kind::exists},
                                              {"cannot start a", Kind::wrong_state},
                                              {"that is not stopped", Kind::wrong_state},
                                              {"paused container", Kind::wrong_state},
                                              {"No space left on device", Kind::exhausted}}};

// What huskd was started with must not reach the container through hooks or the runtime.
std::vector<std::string> runtime_environment() {
  auto items = current_environment();
  std::erase_if(items, [](const std::string& item) {
    return item.starts_with("NOTIFY_SOCKET=") || item.starts_with("LISTEN_");
  });
  return items;
}

std::string tail_of(int fd) {
  std::string text(kMaxErrorText, '\0');
  const auto got = sys::pread_some(fd, text, 0);
  text.resize(got.has_value() ? got.value() : 0);
  return std::string{trim(text)};
}

}  // namespace

struct RuntimeCaller::Call {
  Call(Reaper& reaper, RuntimeCommand given, Done callback)
      : hold{reaper}, command{std::move(given)}, done{std::move(callback)} {}
  Reaper::Hold hold;
  RuntimeCommand command;
  Done done;
  std::string log_file;
  UniqueFd stderr_file;
  std::optional<EventLoop::Token> timer;
  bool timed_out = false;
};

std::vector<std::string> runtime_arguments(const RuntimeProgram& program, const RuntimeCommand& command,
                                           const std::string& log_file) {
  std::vector<std::string> list{"husk", "--root", program.root, "--log", log_file, "--log-format", "json"};
  if (command.systemd_cgroup) list.emplace_back("--systemd-cgroup");
  list.insert(list.end(), command.arguments.begin(), command.arguments.end());
  return list;
}

std::string last_runtime_error(std::string_view log_text) {
  std::string last;
  for (const auto line : split(log_text, '\n')) {
    if (line.empty()) continue;
    const auto json = oci::parse_json(line, {.max_bytes = kMaxLog, .max_depth = 8});
    if (!json.has_value()) continue;
    const auto* level = json.value().find("level");
    const auto* message = json.value().find("msg");
    if (level == nullptr || message == nullptr || level->as_string() == nullptr || message->as_string() == nullptr) continue;
    if (*level->as_string() == "error") last = *message->as_string();
  }
  return last.substr(0, kMaxErrorText);
}

Kind kind_of_runtime_text(std::string_view text) {
  for (const auto& row : kTextKinds)
    if (text.find(row.part) != std::string_view::npos) return row.kind;
  return Kind::internal;
}

void RuntimeCaller::keep_exit_code(const std::string& id, int code) const {
  const auto directory = sys::openat(AT_FDCWD, format_text("{}/{}", program_.root, id), O_RDONLY | O_DIRECTORY);
  if (!directory.has_value() || !sys::flock(directory.value().get(), LOCK_EX | LOCK_NB).has_value()) return;
  const auto info = sys::fstat(directory.value().get());
  if (!info.has_value() || info.value().st_nlink == 0) return;
  const auto kept = write_atomically(directory.value().get(), "exit-code", format_text("{}", code), 0600);
  if (!kept.has_value()) log::warning(Error{kept.error()}.during("keep the exit code").to_string());
}

void RuntimeCaller::call(RuntimeCommand command, Done done) {
  auto call = std::make_shared<Call>(reaper_, std::move(command), std::move(done));
  // Each call has a log of its own: an error line of another one must not be taken for ours.
  call->log_file = format_text("{}/runtime-{}.log", call->command.log_directory, next_log_++);
  const auto start = [&]() -> Result<pid_t> {
    SpawnOptions options{.path = program_.path,
                         .arguments = runtime_arguments(program_, call->command, call->log_file),
                         .environment = runtime_environment(),
                         .descriptors = call->command.descriptors};
    bool has_stderr = false;
    for (const auto& item : options.descriptors) has_stderr = has_stderr || item.target == 2;
    if (!has_stderr) {
      call->stderr_file = TRY(sys::memfd_create("husk-stderr", MFD_CLOEXEC));
      options.descriptors.push_back({.from = call->stderr_file.get(), .target = 2});
    }
    auto child = TRY(spawn(options));
    return child.release();
  };
  const auto pid = start();
  if (!pid.has_value()) return call->done(Error{pid.error()}.during("execute the runtime"));
  if (call->command.timeout_ns > 0) {
    auto timer = loop_.add_timer(call->command.timeout_ns, [call, pid = pid.value()] {
      call->timer.reset();
      call->timed_out = true;
      (void)sys::kill(pid, SIGKILL);  // not reaped yet, so it is ours
    });
    if (timer.has_value()) call->timer = timer.value();
    if (!timer.has_value()) log::warning(timer.error().to_string());
  }
  reaper_.watch(pid.value(), [this, call](ExitStatus status) { finish(call, status); });
}

void RuntimeCaller::finish(const std::shared_ptr<Call>& call, ExitStatus status) {
  if (call->timer.has_value()) loop_.remove(*call->timer);
  const auto& command = call->command;
  const auto log_text = status.success() ? Result<std::string>{std::string{}} : read_file(call->log_file, kMaxLog);
  (void)sys::unlinkat(AT_FDCWD, call->log_file);  // often it was never made
  if (status.success()) return call->done(ok());
  const auto verb = format_text("husk {}", command.arguments.front());
  if (call->timed_out)
    return call->done(Error{Kind::timed_out, format_text("{}: no end within {} ms, killed", verb, command.timeout_ns / 1'000'000)});
  auto text = log_text.has_value() ? last_runtime_error(log_text.value()) : std::string{};
  if (text.empty() && command.error_text) text = command.error_text();
  if (text.empty() && call->stderr_file.is_open()) text = tail_of(call->stderr_file.get());
  if (text.empty())
    text = status.signal != 0 ? format_text("ended by signal {}", status.signal)
                              : format_text("ended with code {} and no error text", status.code);
  call->done(Error{kind_of_runtime_text(text), format_text("{}: {}", verb, text)});
}

}  // namespace husk::monitor
