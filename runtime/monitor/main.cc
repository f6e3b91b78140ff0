// husk-monitor: the composition root.
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

#include "base/event_loop.h"
#include "base/file.h"
#include "base/format.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "monitor/monitor.h"

namespace husk::monitor {
namespace {

constexpr std::string_view kHelp =
    R"(husk-monitor: owns the containers of one pod: their output, logs and exit codes

usage: husk-monitor --pod-id ID --dir DIR --husk PATH --runtime-root ROOT [--log-level LEVEL]

  --pod-id ID          the pod, for messages
  --dir DIR            holds monitor.sock, monitor.pid, monitor.log and containers/
  --husk PATH          the runtime to execute; absolute
  --runtime-root ROOT  given to it as --root
  --log-level LEVEL    debug, info, warning (default) or error, for monitor.log
  --help, --version    print and leave

huskd starts one for each pod. It writes "R" to descriptor 3 when it listens, and leaves when it is
told to over the socket, or on SIGTERM after the last container has ended.
)";

struct Arguments {
  MonitorOptions monitor;
  log::Level log_level = log::Level::warning;
};

Result<Arguments> parse_arguments(int argc, char** argv) {
  Arguments parsed;
  std::string level = "warning";
  const std::array<std::pair<std::string_view, std::string*>, 5> known{{{"--pod-id", &parsed.monitor.pod_id},
                                                                        {"--dir", &parsed.monitor.directory},
                                                                        {"--husk", &parsed.monitor.runtime.path},
                                                                        {"--runtime-root", &parsed.monitor.runtime.root},
                                                                        {"--log-level", &level}}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto name = argument.substr(0, argument.find('='));
    std::string* target = nullptr;
    for (const auto& [option, where] : known)
      if (name == option) target = where;
    if (target == nullptr)
      return Error{Kind::invalid, format_text("unknown argument {}", quote(argument))}.hint("see husk-monitor --help");
    if (name.size() < argument.size()) {
      *target = argument.substr(name.size() + 1);
    } else if (++i < argc) {
      *target = argv[i];
    } else {
      return Error{Kind::invalid, format_text("option {} requires an argument", name)};
    }
  }
  for (const auto& [option, where] : known)
    if (where->empty()) return Error{Kind::invalid, format_text("option {} is missing", option)}.hint("see husk-monitor --help");
  const auto pod = TRY(PodId::parse(parsed.monitor.pod_id));
  parsed.monitor.pod_id = pod.text();
  parsed.log_level = TRY(log::parse_level(level));
  if (!parsed.monitor.runtime.path.starts_with('/'))
    return Error{Kind::invalid, format_text("--husk {} is not an absolute path", quote(parsed.monitor.runtime.path))};
  for (auto* path : {&parsed.monitor.directory, &parsed.monitor.runtime.root}) *path = TRY(absolute_path(*path));
  return parsed;
}

void on_signals(int fd, Monitor& monitor) {
  std::array<signalfd_siginfo, 16> signals{};
  const auto got = sys::read_some(fd, {reinterpret_cast<char*>(signals.data()), sizeof signals});
  if (!got.has_value()) return;
  bool child = false;
  bool terminate = false;
  for (std::size_t i = 0; i < got.value() / sizeof signals[0]; ++i) {
    child = child || signals.at(i).ssi_signo == SIGCHLD;
    terminate = terminate || signals.at(i).ssi_signo == SIGTERM;
  }
  if (child) monitor.on_child_signal();
  if (terminate) monitor.leave_when_idle();
}

Status serve(const Arguments& arguments, UniqueFd ready) {
  TRY(make_directories(arguments.monitor.directory, 0700));
  TRY(log::open({.program = "husk-monitor",
                 .lowest = arguments.log_level,
                 .form = log::Form::text,
                 .file = arguments.monitor.directory + "/monitor.log",
                 .to_stderr = true}));
  TRY(sys::set_child_subreaper(true));
  // A client or container that closed its end is seen by EPIPE; a lost terminal is no reason to leave.
  for (const int ignored : {SIGPIPE, SIGHUP, SIGINT}) (void)::signal(ignored, SIG_IGN);
  const auto signals = TRY(sys::signalfd({SIGCHLD, SIGTERM}));
  auto loop = TRY(EventLoop::create());
  const auto monitor = TRY(Monitor::create(loop, arguments.monitor));
  TRY(loop.add(signals.get(), EPOLLIN, [&](auto) { on_signals(signals.get(), *monitor); }));
  if (ready.is_open()) TRY(sys::write_all(ready.get(), "R").during("tell that we are ready"));
  ready.reset();
  return loop.run();
}

}  // namespace
}  // namespace husk::monitor

int main(int argc, char** argv) {
  using namespace husk;
  for (int i = 1; i < argc; ++i) {
    const bool help = std::strcmp(argv[i], "--help") == 0;
    if (!help && std::strcmp(argv[i], "--version") != 0) continue;
    const auto text = help ? std::string{monitor::kHelp} : format_text("husk-monitor {}\n", HUSK_VERSION);
    return sys::write_all(STDOUT_FILENO, text).has_value() ? 0 : 1;
  }
  // First of all, so that descriptor 3 is the starter's and none of ours.
  UniqueFd ready;
  if (sys::fstat(monitor::kReadyFd).has_value()) {
    ready.reset(monitor::kReadyFd);
    (void)sys::set_cloexec(monitor::kReadyFd, true);  // an open descriptor takes the flag
  }
  log::Options to_stderr;
  to_stderr.program = "husk-monitor";
  (void)log::open(to_stderr);  // opens no file yet
  const auto arguments = monitor::parse_arguments(argc, argv);
  const auto done = arguments.has_value() ? monitor::serve(arguments.value(), std::move(ready)) : Status{arguments.error()};
  if (done.has_value()) return 0;
  log::error(done.error().to_string());
  return 1;
}
