#include "monitor/container.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::monitor {
namespace {

constexpr std::int64_t kSecond_ns = 1'000'000'000;
constexpr std::int64_t kCreatePatience_ns = 240 * kSecond_ns;  // hooks and slow disks; kubelet gives up after 120 s
constexpr std::int64_t kStartPatience_ns = 120 * kSecond_ns;
constexpr std::int64_t kKillPatience_ns = 30 * kSecond_ns;
constexpr std::int64_t kDeletePatience_ns = 120 * kSecond_ns;
// A process that SIGKILL does not end sleeps in the kernel; its stop is answered with an error then.
constexpr std::int64_t kDeathPatience_ns = 30 * kSecond_ns;

}  // namespace

Container::Container(Surroundings& surroundings, const Request& request)
    : around_{surroundings},
      request_{request},
      id_{request.id},
      directory_{surroundings.containers_directory + "/" + request.id} {}

Container::~Container() {
  if (stopping_.has_value() && stopping_->timer.has_value()) around_.loop.remove(*stopping_->timer);
}

RuntimeCommand Container::command(std::vector<std::string> arguments, std::int64_t timeout_ns) const {
  return {.arguments = std::move(arguments),
          .log_directory = directory_,
          .systemd_cgroup = request_.systemd_cgroup,
          .descriptors = {},
          .timeout_ns = timeout_ns,
          .error_text = nullptr};
}

Reply Container::reply() const {
  Reply reply;
  reply.containers.push_back(info());
  return reply;
}

Error Container::wrong_state(std::string_view what) const {
  constexpr std::array<std::string_view, 4> names{"being created", "created", "running", "exited"};
  return Error{Kind::wrong_state, format_text("cannot {} container {}: it is {}", what, quote(id_),
                                              names.at(static_cast<std::size_t>(phase_)))};
}

ContainerInfo Container::info() const {
  ContainerInfo info{.id = id_,
                     .pid = phase_ == Phase::exited ? 0 : pid_,
                     .created_at_ns = created_at_ns_,
                     .started_at_ns = started_at_ns_,
                     .log_path = request_.log_path,
                     .cgroup_path = cgroup_.path,
                     .exit = exit_};
  if (phase_ == Phase::running) info.phase = ContainerPhase::running;
  if (phase_ == Phase::exited) info.phase = ContainerPhase::exited;
  return info;
}

// ---- create and start --------------------------------------------------------------------------

Status Container::prepare() {
  TRY(make_directories(directory_, 0700));
  TRY(remove_tree(AT_FDCWD, directory_ + "/exit.json"));
  io_ = TRY(ContainerIo::create(around_.loop, {.directory = directory_,
                                               .log_path = request_.log_path,
                                               .attach_socket = request_.attach_socket,
                                               .terminal = request_.terminal,
                                               .stdin_open = request_.stdin_open,
                                               .stdin_once = request_.stdin_once,
                                               .scratch = around_.scratch}));
  return ok();
}

void Container::create(const Answer& answer) {
  const auto prepared = prepare();
  if (!prepared.has_value()) {
    (void)remove_tree(AT_FDCWD, directory_);
    return answer(Error{prepared.error()}.during("create"));
  }
  std::vector<std::string> arguments{"create", "--bundle", request_.bundle, "--pid-file", directory_ + "/pid"};
  if (request_.terminal) {
    arguments.emplace_back("--console-socket");
    arguments.push_back(io_->console_socket());
  }
  arguments.push_back(id_);
  auto call = command(std::move(arguments), kCreatePatience_ns);
  call.descriptors = io_->child_descriptors();
  // A runtime that dies before it has a log can only have written to the container's stderr.
  call.error_text = [this] { return io_->take_error_text(); };
  around_.runtime.call(std::move(call), [self = shared_from_this(), answer](const Status& done) {
    const auto created = done.has_value() ? self->on_created() : done;
    if (!created.has_value()) return self->undo_create(created.error(), answer);
    answer(self->reply());
    // Last, since it may have ended already: the answer comes before the event.
    self->around_.reaper.watch(self->pid_, [self](ExitStatus status) { self->on_ended(status, now_unix_ns()); });
  });
}

// husk rolls back what it fails at; a killed husk, or a failure after it, leaves a container.
void Container::undo_create(const Error& error, const Answer& answer) {
  around_.runtime.call(command({"delete", "--force", id_}, kDeletePatience_ns),
                       [self = shared_from_this(), answer, error](const Status&) {
                         self->phase_ = Phase::exited;
                         self->io_.reset();
                         (void)remove_tree(AT_FDCWD, self->directory_);
                         answer(error);
                       });
}

Status Container::on_created() {
  const auto text = TRY(read_file(directory_ + "/pid", 64));
  const auto pid = TRY(parse_uint32(trim(text)).during("read pid file"));
  pid_ = static_cast<pid_t>(pid);
  TRY(io_->created());
  watch_memory();
  created_at_ns_ = now_unix_ns();
  phase_ = Phase::created;
  return ok();
}

void Container::watch_memory() {
  auto cgroup = read_memory_cgroup(pid_);
  if (!cgroup.has_value()) return;  // ended already: there is nothing to watch
  cgroup_ = std::move(cgroup).value();
  // Without cgroups (--cgroup-manager disabled) the container sits in the monitor's own: neither its
  // processes nor its kills can be told from others.
  const auto ours = read_memory_cgroup(::getpid());
  has_own_cgroup_ = !cgroup_.directory.empty() && ours.has_value() && ours.value().directory != cgroup_.directory;
  if (!request_.oom_watch || !has_own_cgroup_) return;
  oom_ = OomWatch::create(around_.loop, cgroup_, [this] { on_oom(); });
}

void Container::on_oom() {
  if (phase_ == Phase::exited) return;  // the exit record says it
  around_.publish({.what = "oom", .exit = {.id = id_, .started_at_ns = started_at_ns_, .oom_killed = true}});
}

void Container::start(const Answer& answer) {
  if (phase_ != Phase::created || starting_) return answer(wrong_state("start"));
  starting_ = true;
  const auto when_ns = now_unix_ns();
  around_.runtime.call(command({"start", id_}, kStartPatience_ns),
                       [self = shared_from_this(), answer, when_ns](const Status& done) {
                         self->starting_ = false;
                         if (done.has_value()) {
                           self->started_at_ns_ = when_ns;
                           self->phase_ = Phase::running;
                         }
                         if (done.has_value()) {
                           answer(self->reply());
                         } else {
                           answer(done.error());
                         }
                         const auto early = std::exchange(self->early_exit_, std::nullopt);
                         if (early.has_value()) self->record_exit(early->first, early->second);
                       });
}

// ---- the end -------------------------------------------------------------------------------------

void Container::on_ended(ExitStatus status, std::int64_t when_ns) {
  if (starting_) {
    early_exit_ = {status, when_ns};
  } else {
    record_exit(status, when_ns);
  }
}

void Container::record_exit(ExitStatus status, std::int64_t when_ns) {
  if (phase_ == Phase::exited) return;  // removed meanwhile
  io_->ended(status.code);
  // A worker that was killed long ago while the container went on is not why it ended with 0.
  const bool oom_killed = oom_ != nullptr && oom_->kills() > 0 && status.code != 0;
  exit_ = ExitRecord{.id = id_,
                     .exit_code = status.code,
                     .started_at_ns = started_at_ns_,
                     .finished_at_ns = when_ns,
                     .oom_killed = oom_killed};
  oom_.reset();
  phase_ = Phase::exited;
  const auto written = write_atomically(AT_FDCWD, directory_ + "/exit.json", encode(*exit_), 0600, Durable::yes);
  if (!written.has_value()) log::warning(Error{written.error()}.during("write exit record").to_string());
  if (!removing_) around_.runtime.keep_exit_code(id_, status.code);
  around_.publish({.what = "exited", .exit = *exit_});
  if (!removing_) end_leftovers();
  answer_stops(ok());
}

// Without a PID namespace of its own the container's other processes outlive the first one.
void Container::end_leftovers() {
  if (!has_own_cgroup_) return;
  const auto processes = read_file(cgroup_.directory + "/cgroup.procs", 1U << 20U);
  if (!processes.has_value() || processes.value().empty()) return;
  ending_leftovers_ = true;
  around_.runtime.call(command({"kill", "--all", id_, "KILL"}, kKillPatience_ns),
                       [self = shared_from_this()](const Status& done) {
                         self->ending_leftovers_ = false;
                         // They may have ended by themselves.
                         if (!done.has_value() && done.error().kind() != Kind::wrong_state)
                           log::warning(Error{done.error()}.during("end what the container left running").to_string());
                         const auto next = std::exchange(self->after_leftovers_, nullptr);
                         if (next) next();
                       });
}

// ---- stop and kill -------------------------------------------------------------------------------

void Container::stop(int signal, std::int64_t timeout_ms, const Answer& answer) {
  if (phase_ == Phase::exited) return answer(reply());
  if (phase_ == Phase::creating) return answer(Error{wrong_state("stop")}.as(Kind::busy));
  const auto deadline_ns = now_monotonic_ns() + timeout_ms * (kSecond_ns / 1000);
  const bool first = !stopping_.has_value();
  if (first) stopping_.emplace();
  stopping_->answers.push_back(answer);
  if (stopping_->killed) return;
  // PID 1 waiting for its start handles no signal but SIGKILL.
  if (timeout_ms == 0 || signal == SIGKILL || (phase_ == Phase::created && !starting_)) return kill_everything();
  if (!first && deadline_ns >= stopping_->deadline_ns) return;
  stopping_->deadline_ns = deadline_ns;
  arm_stop_timer(timeout_ms * (kSecond_ns / 1000));
  if (!first) return;
  around_.runtime.call(command({"kill", id_, format_text("{}", signal)}, kKillPatience_ns),
                       [self = shared_from_this()](const Status& done) {
                         if (done.has_value() || self->phase_ == Phase::exited) return;
                         if (done.error().kind() == Kind::wrong_state) return;  // ended: about to be reaped
                         log::warning(Error{done.error()}.during("stop: killing at once instead").to_string());
                         if (self->stopping_.has_value() && !self->stopping_->killed) self->kill_everything();
                       });
}

void Container::arm_stop_timer(std::int64_t after_ns) {
  if (stopping_->timer.has_value()) around_.loop.remove(*stopping_->timer);
  stopping_->timer.reset();
  auto timer = around_.loop.add_timer(after_ns, [this] { on_stop_timer(); });
  if (timer.has_value()) {
    stopping_->timer = timer.value();
  } else if (!stopping_->killed) {
    kill_everything();  // no timer, no grace: a stop must end
  }
}

void Container::on_stop_timer() {
  stopping_->timer.reset();
  if (!stopping_->killed) return kill_everything();
  answer_stops(Error{Kind::timed_out, format_text("process {} of container {} is still there {} s after SIGKILL", pid_,
                                                  quote(id_), kDeathPatience_ns / kSecond_ns)}
                   .hint("it waits in the kernel, mostly for a disk or a network file system"));
}

void Container::kill_everything() {
  stopping_->killed = true;
  arm_stop_timer(kDeathPatience_ns);
  around_.runtime.call(command({"kill", "--all", id_, "KILL"}, kKillPatience_ns),
                       [self = shared_from_this()](const Status& done) {
                         if (done.has_value() || self->phase_ == Phase::exited) return;
                         // The runtime could not: the first process is our child, we end it ourselves.
                         log::warning(Error{done.error()}.during("stop").to_string());
                         (void)sys::kill(self->pid_, SIGKILL);
                       });
}

void Container::answer_stops(const Status& status) {
  if (!stopping_.has_value()) return;
  if (stopping_->timer.has_value()) around_.loop.remove(*stopping_->timer);
  const auto answers = std::move(stopping_->answers);
  stopping_.reset();
  for (const auto& answer : answers) {
    if (status.has_value()) {
      answer(reply());
    } else {
      answer(status.error());
    }
  }
}

void Container::kill(int signal, const Answer& answer) {
  if (phase_ == Phase::exited || phase_ == Phase::creating) return answer(wrong_state("signal"));
  around_.runtime.call(command({"kill", id_, format_text("{}", signal)}, kKillPatience_ns),
                       [self = shared_from_this(), answer](const Status& done) {
                         if (!done.has_value()) return answer(done.error());
                         answer(self->reply());
                       });
}

// ---- exec and remove -----------------------------------------------------------------------------

void Container::exec(const Request& request, std::array<UniqueFd, 2> targets, const Answer& answer) {
  if (phase_ != Phase::running) return answer(wrong_state("exec in"));
  around_.execs.start({.container = id_,
                       .directory = directory_,
                       .process = request.process,
                       .timeout_ms = request.timeout_ms,
                       .max_output = request.max_output,
                       .systemd_cgroup = request_.systemd_cgroup,
                       .targets = std::move(targets)},
                      [answer](Result<std::int32_t> exit_code) {
                        if (!exit_code.has_value()) return answer(exit_code.error());
                        Reply reply;
                        reply.exit_code = exit_code.value();
                        answer(std::move(reply));
                      });
}

void Container::remove(const Answer& answer) {
  if (phase_ == Phase::creating || removing_) return answer(Error{wrong_state("remove")}.as(Kind::busy));
  removing_ = true;
  auto run_delete = [self = shared_from_this(), answer] {
    self->around_.runtime.call(self->command({"delete", "--force", self->id_}, kDeletePatience_ns),
                               [self, answer](const Status& done) { self->on_deleted(done, answer); });
  };
  if (!ending_leftovers_) return run_delete();
  after_leftovers_ = std::move(run_delete);
}

void Container::on_deleted(const Status& deleted, const Answer& answer) {
  removing_ = false;
  if (!deleted.has_value() && deleted.error().kind() != Kind::not_found) return answer(deleted.error());
  if (phase_ != Phase::exited) {
    // husk killed it; its end is reaped now or in a moment, and nobody needs a record of it.
    answer_stops(ok());
    phase_ = Phase::exited;
  }
  io_.reset();
  oom_.reset();
  const auto removed = remove_tree(AT_FDCWD, directory_);
  if (!removed.has_value()) log::warning(removed.error().to_string());
  answer(Reply{});
}

}  // namespace husk::monitor
