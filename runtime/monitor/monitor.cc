#include "monitor/monitor.h"

#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::monitor {

Monitor::Monitor(EventLoop& loop, const MonitorOptions& options)
    : loop_{loop},
      options_{options},
      runtime_{loop, reaper_, options.runtime},
      execs_{loop, reaper_, runtime_, scratch_},
      surroundings_{.loop = loop,
                    .reaper = reaper_,
                    .runtime = runtime_,
                    .execs = execs_,
                    .scratch = scratch_,
                    .containers_directory = options.directory + "/containers",
                    .publish = [this](const Event& event) { publish(event); }} {}

Result<std::unique_ptr<Monitor>> Monitor::create(EventLoop& loop, const MonitorOptions& options) {
  std::unique_ptr<Monitor> monitor{new Monitor{loop, options}};
  TRY(monitor->own_directory());
  TRY(make_directories(options.directory + "/containers", 0700));
  monitor->server_ = TRY(Server::create(loop, options.directory + "/monitor.sock",
                                        [raw = monitor.get()](Server::Packet packet) { raw->on_packet(std::move(packet)); }));
  return monitor;
}

Monitor::~Monitor() {
  server_.reset();
  reaper_.forget_all();  // handlers own containers, and those use the members below
  containers_.clear();
  if (pid_file_.is_open()) (void)sys::unlinkat(AT_FDCWD, options_.directory + "/monitor.pid");
}

// The lock lives as long as this process: whoever gets it knows that the monitor is dead, even
// when its pid was given to another process.
Status Monitor::own_directory() {
  TRY(make_directories(options_.directory, 0700));
  const auto path = options_.directory + "/monitor.pid";
  auto fd = TRY(sys::openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600));
  const auto locked = sys::flock(fd.get(), LOCK_EX | LOCK_NB);
  if (!locked.has_value())
    return Error{locked.error()}.during(format_text("another monitor owns {}", quote(options_.directory)));
  TRY(sys::ftruncate(fd.get(), 0));
  TRY(sys::write_all(fd.get(), format_text("{}", ::getpid())));
  pid_file_ = std::move(fd);
  return ok();
}

void Monitor::on_child_signal() { reaper_.reap_all(); }

void Monitor::on_packet(Server::Packet packet) {
  auto request = packet.truncated
                     ? Result<Request>{Error{Kind::invalid, format_text("packet of more than {} bytes or 8 descriptors", kMaxMessage)}}
                     : decode_request(packet.text);
  const std::uint64_t number = request.has_value() ? request.value().number : 0;
  const auto client = packet.client;
  const Answer answer = [this, client, number](Result<Reply> result) {
    Reply reply;
    if (result.has_value()) {
      reply = std::move(result).value();
    } else {
      reply.ok = false;
      reply.error = result.error().to_string();
      reply.error_kind = kind_name(result.error().kind());
    }
    reply.number = number;
    auto text = encode(reply);
    if (text.size() > kMaxMessage)
      text = encode(Reply{.number = number,
                          .ok = false,
                          .error = format_text("the answer of {} bytes is too large (hint: ask for one container)", text.size()),
                          .error_kind = std::string{kind_name(Kind::exhausted)}});
    server_->send(client, text);
  };
  if (!request.has_value()) return answer(std::move(request).error());
  dispatch(request.value(), client, std::move(packet.fds), answer);
}

void Monitor::dispatch(const Request& request, Server::ClientId client, std::vector<UniqueFd> fds,
                       const Answer& answer) {
  switch (request.op) {
    case Op::hello: return answer(hello());
    case Op::subscribe: server_->subscribe(client); return answer(Reply{});
    case Op::create: return create_container(request, answer);
    case Op::remove: return remove_container(request, answer);
    case Op::shutdown: return shut_down(request.force, answer);
    default: return for_container(request, std::move(fds), answer);
  }
}

void Monitor::for_container(const Request& request, std::vector<UniqueFd> fds, const Answer& answer) {
  const auto found = containers_.find(request.id);
  if (found == containers_.end())
    return answer(Error{Kind::not_found, format_text("container {} does not exist in pod {}", quote(request.id), quote(options_.pod_id))});
  auto& container = *found->second;
  switch (request.op) {
    case Op::start: return container.start(answer);
    case Op::stop: return container.stop(request.signal, request.timeout_ms, answer);
    case Op::kill: return container.kill(request.signal, answer);
    case Op::exec: return exec(container, request, std::move(fds), answer);
    case Op::reopen_log: {
      const auto done = container.reopen_log();
      return done.has_value() ? answer(Reply{}) : answer(done.error());
    }
    default: {
      Reply reply;
      reply.containers.push_back(container.info());
      return answer(std::move(reply));
    }
  }
}

void Monitor::exec(Container& container, const Request& request, std::vector<UniqueFd> fds,
                   const Answer& answer) {
  if (fds.size() != 2)
    return answer(Error{Kind::invalid, format_text("exec needs two descriptors, stdout and stderr; {} came", fds.size())});
  container.exec(request, {std::move(fds[0]), std::move(fds[1])}, answer);
}

void Monitor::create_container(const Request& request, const Answer& answer) {
  if (leave_ || !leaving_.empty()) return answer(Error{Kind::wrong_state, "the monitor is shutting down"});
  if (containers_.contains(request.id))
    return answer(Error{Kind::exists, format_text("container {} already exists in pod {}", quote(request.id), quote(options_.pod_id))});
  const auto container = std::make_shared<Container>(surroundings_, request);
  containers_[request.id] = container;
  container->create([this, container, answer](Result<Reply> result) {
    if (!result.has_value()) containers_.erase(container->id());
    answer(std::move(result));
    leave_if_asked();
  });
}

// Removing what is not known succeeds, so that a caller may repeat it.
void Monitor::remove_container(const Request& request, const Answer& answer) {
  const auto found = containers_.find(request.id);
  if (found == containers_.end()) return answer(Reply{});
  const auto container = found->second;
  container->remove([this, container, answer](Result<Reply> result) {
    if (result.has_value()) containers_.erase(container->id());
    answer(std::move(result));
    leave_if_asked();
  });
}

std::vector<std::shared_ptr<Container>> Monitor::alive() const {
  std::vector<std::shared_ptr<Container>> list;
  for (const auto& [id, container] : containers_)
    if (container->is_alive()) list.push_back(container);
  return list;
}

void Monitor::shut_down(bool force, const Answer& answer) {
  const auto running = alive();
  if (!running.empty() && !force)
    return answer(Error{Kind::wrong_state, format_text("container {} is running", quote(running.front()->id()))}.hint(
        "stop the containers first, or shut down with force"));
  for (const auto& container : running)
    if (container->is_creating())
      return answer(Error{Kind::busy, format_text("container {} is being created", quote(container->id()))});
  leaving_.push_back(answer);
  for (const auto& container : running)
    container->stop(SIGKILL, 0, [this](const Result<Reply>& stopped) {
      if (stopped.has_value()) return leave_if_asked();
      const auto answers = std::exchange(leaving_, {});
      for (const auto& each : answers) each(Error{stopped.error()}.during("shut down"));
    });
  leave_if_asked();
}

void Monitor::leave_when_idle() {
  leave_ = true;
  leave_if_asked();
}

void Monitor::leave_if_asked() {
  if ((!leave_ && leaving_.empty()) || !alive().empty()) return;
  const auto answers = std::exchange(leaving_, {});
  for (const auto& answer : answers) answer(Reply{});
  loop_.stop();
}

void Monitor::publish(const Event& event) {
  server_->send_to_subscribers(encode(event));
  if (event.what == "exited") leave_if_asked();
}

Reply Monitor::hello() const {
  Reply reply;
  reply.version = kProtocolVersion;
  for (const auto& [id, container] : containers_)
    if (!container->is_creating()) reply.containers.push_back(container->info());
  return reply;
}

}  // namespace husk::monitor
