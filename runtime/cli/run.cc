#include <array>

#include "base/log.h"
#include "base/sys.h"
#include "cli/create_options.h"
#include "container.h"
#include "fault.h"
#include "foreground.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kBundleOption,
                              kConfigOption,
                              kConsoleSocketOption,
                              kPidfdSocketOption,
                              kPidFileOption,
                              kNoPivotOption,
                              kNoKeyringOption,
                              kPreserveFdsOption,
                              kNoSubreaperOption,
                              Option{'d', "detach", "", "do not wait for the end of the container"},
                              Option{0, "keep", "", "keep the container's state after its end"},
                              kHelpOption};

// A container whose start failed leaves nothing: no pid file either, whose presence means "started".
Status finish_or_destroy(runtime::Created& created, const std::string& pid_file) {
  auto started = runtime::finish_start(created);
  if (started.has_value()) return started;
  if (!pid_file.empty()) (void)sys::unlinkat(AT_FDCWD, pid_file);
  const auto destroyed = runtime::destroy(created.directory, created.record, created.hooks);
  if (!destroyed.has_value()) log::warning(destroyed.error().to_string());
  return started;
}

Result<int> run_run(const Globals& globals, const Parsed& parsed) {
  auto options = TRY(make_create_options(globals, parsed));
  const bool detach = parsed.has("detach");
  options.foreground = !detach && options.console_socket.empty();
  const runtime::StateStore store{globals.root};
  std::optional<runtime::Foreground> foreground;
  const auto take_signals = [&]() -> Status {
    if (!detach) foreground = TRY(runtime::Foreground::create(!parsed.has("no-subreaper")));
    return ok();
  };
  auto created = TRY(runtime::create_container(store, options, runtime::StartThrough::nothing, take_signals));
  TRY(finish_or_destroy(created, options.pid_file));
  if (!foreground.has_value()) {
    if (created.notify.has_value()) TRY(created.notify->wait_ready(created.init.pid, created.init.pidfd));
    return 0;
  }
  (void)runtime::fault_point("run-wait");  // only to be killed there
  const auto* notify = created.notify.has_value() ? &*created.notify : nullptr;
  const int status = TRY(foreground->wait(created.init.pid, created.init.pidfd, std::move(created.terminal), notify));
  if (parsed.has("keep"))
    TRY(created.directory.write_exit_code(status));
  else
    TRY(runtime::remove_after_end(created));
  return status;
}

}  // namespace

const Verb kRunVerb{.name = "run",
                    .arguments = "ID",
                    .summary = "create and start a container, and wait for its end",
                    .options = kOptions,
                    .run = run_run,
                    .keeps_descriptors = true};

}  // namespace husk::cli
