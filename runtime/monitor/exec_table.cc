#include "monitor/exec_table.h"

#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "monitor/process_tree.h"

namespace husk::monitor {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kStartPatience_ns = 60'000 * kMillisecond;  // for husk itself, on top of the time-out
constexpr std::int64_t kKillPatience_ns = 5'000 * kMillisecond;

}  // namespace

struct ExecTable::Session {
  ExecOptions options;
  Done done;
  std::string file_stem;  // DIR/exec-N
  std::array<std::unique_ptr<OutputPump>, 2> pumps;
  std::array<UniqueFd, 2> child_ends;
  std::optional<EventLoop::Token> timer;
  pid_t pid = 0;
  std::optional<ExitStatus> status;
  bool timed_out = false;

  void answer(Result<std::int32_t> result) {
    if (done) std::exchange(done, nullptr)(std::move(result));
  }
  Error time_out_error() const {
    return Error{Kind::timed_out, format_text("command timed out: it did not end within {} ms", options.timeout_ms)};
  }
  // Best effort: the directory may be gone with its container.
  void remove_files() const {
    (void)sys::unlinkat(AT_FDCWD, file_stem + ".json");
    (void)sys::unlinkat(AT_FDCWD, file_stem + ".pid");
  }
};

ExecTable::ExecTable(EventLoop& loop, Reaper& reaper, RuntimeCaller& runtime, std::span<char> scratch)
    : loop_{loop}, reaper_{reaper}, runtime_{runtime}, scratch_{scratch} {}

ExecTable::~ExecTable() {
  for (const auto& [id, session] : sessions_)
    if (session->timer.has_value()) loop_.remove(*session->timer);
}

void ExecTable::start(ExecOptions options, Done done) {
  const Id id = next_++;
  auto owned = std::make_unique<Session>();
  auto& session = *owned;
  session.options = std::move(options);
  session.done = std::move(done);
  session.file_stem = format_text("{}/exec-{}", session.options.directory, id);
  sessions_[id] = std::move(owned);
  const auto prepared = prepare(session, id);
  if (!prepared.has_value()) return fail(id, prepared.error());
  auto command = command_of(session);
  runtime_.call(std::move(command), [this, id](Status started) { on_started(id, std::move(started)); });
}

Status ExecTable::prepare(Session& session, Id id) {
  TRY(write_atomically(AT_FDCWD, session.file_stem + ".json", session.options.process, 0600).during("prepare exec"));
  for (std::size_t i = 0; i < 2; ++i) {
    auto pipe = TRY(sys::pipe2());
    TRY(sys::fchmod(pipe.write_end.get(), 0666));  // see container_io.cc
    TRY(sys::set_nonblocking(pipe.read_end.get(), true));
    session.child_ends.at(i) = std::move(pipe.write_end);
    session.pumps.at(i) =
        TRY(OutputPump::create(loop_, std::move(pipe.read_end), std::move(session.options.targets.at(i)),
                               session.options.max_output, scratch_, [this, id] { on_changed(id); }));
  }
  if (session.options.timeout_ms > 0)
    session.timer = TRY(loop_.add_timer(session.options.timeout_ms * kMillisecond, [this, id] { on_time_out(id); }));
  return ok();
}

RuntimeCommand ExecTable::command_of(const Session& session) const {
  const auto& stem = session.file_stem;
  return {.arguments = {"exec", "--process", stem + ".json", "--detach", "--pid-file", stem + ".pid",
                        session.options.container},
          .log_directory = session.options.directory,
          .systemd_cgroup = session.options.systemd_cgroup,
          .descriptors = {{.from = session.child_ends[0].get(), .target = 1},
                          {.from = session.child_ends[1].get(), .target = 2}},
          .timeout_ns = session.options.timeout_ms * kMillisecond + kStartPatience_ns,
          .error_text = nullptr};
}

void ExecTable::on_started(Id id, Status started) {
  auto& session = *sessions_.at(id);
  for (auto& end : session.child_ends) end.reset();
  const auto pid_text = started.has_value() ? read_file(session.file_stem + ".pid", 64) : Result<std::string>{started.error()};
  session.remove_files();
  if (!pid_text.has_value()) return fail(id, session.timed_out ? session.time_out_error() : pid_text.error());
  const auto pid = parse_uint32(trim(pid_text.value()));
  if (!pid.has_value()) return fail(id, Error{pid.error()}.during("read pid file"));
  session.pid = static_cast<pid_t>(pid.value());
  if (session.timed_out) on_time_out(id);
  reaper_.watch(session.pid, [this, id](ExitStatus status) { on_ended(id, status); });
}

void ExecTable::on_time_out(Id id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  auto& session = *found->second;
  session.timer.reset();
  if (session.status.has_value()) return;  // it is over, only its output is still on the way
  session.timed_out = true;
  if (session.pid == 0) return;  // on_started comes back here
  const auto killed = kill_process_tree(session.pid);
  if (!killed.has_value()) log::warning(Error{killed.error()}.during("exec time-out").to_string());
  // A process in uninterruptible sleep dies late; its caller need not wait for that.
  const auto timer = loop_.add_timer(kKillPatience_ns, [this, id] {
    auto& late = *sessions_.at(id);
    late.timer.reset();
    late.answer(late.time_out_error());
  });
  if (timer.has_value()) session.timer = timer.value();
}

void ExecTable::on_ended(Id id, ExitStatus status) {
  auto& session = *sessions_.at(id);
  session.status = status;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;  // on_changed finished it
    found->second->pumps.at(i)->process_ended();
  }
}

void ExecTable::on_changed(Id id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || !found->second->status.has_value()) return;
  auto& session = *found->second;
  bool over = true;
  for (const auto& pump : session.pumps) {
    if (!pump->is_delivered()) return;
    over = over && pump->is_over();
  }
  if (session.timer.has_value()) loop_.remove(*session.timer);
  session.timer.reset();
  if (session.timed_out) {
    session.answer(session.time_out_error());
  } else {
    session.answer(std::int32_t{session.status->code});
  }
  if (over) sessions_.erase(id);
}

void ExecTable::fail(Id id, Error error) {
  const auto found = sessions_.find(id);
  const auto session = std::move(found->second);
  sessions_.erase(found);
  if (session->timer.has_value()) loop_.remove(*session->timer);
  session->remove_files();
  session->answer(std::move(error));
}

}  // namespace husk::monitor
