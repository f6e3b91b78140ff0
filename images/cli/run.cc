#include <poll.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/ids.h"
#include "base/process.h"
#include "base/rollback.h"
#include "base/text.h"
#include "images/cli/run_options.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {kRunEnv,     kRunVolume,   kRunTty,     {'i', "interactive", "", "keep standard input (always so)"},
                               kRunUser,    kRunWorkdir,  kRunHostname, kRunNetwork,
                               kRunReadOnly, kRunEntrypoint, {0, "name", "NAME", "id of the container"},
                               {0, "rm", "", "remove it afterwards (always so)"}};

constexpr int kHuskFailed = 1;
constexpr int kNotRun = 125;  // as docker and podman: the command did not run at all

// Waits for the runtime; signals that ask us to end go on to it, which passes them to the container.
Result<int> wait_forwarding(Child child, const UniqueFd& signals) {
  for (;;) {
    std::vector<sys::PollEntry> entries{{child.pidfd(), POLLIN}, {signals.get(), POLLIN}};
    TRY(sys::poll(entries, -1));
    if (entries[1].revents != 0) {
      std::string info(128, '\0');  // sizeof(signalfd_siginfo); the number comes first
      const auto got = TRY(sys::read_some(signals.get(), info));
      // From the terminal they reach the runtime's process group by themselves.
      if (got >= 4 && (info[0] == SIGTERM || info[0] == SIGHUP)) (void)child.signal(info[0]);
    }
    if (entries[0].revents == 0) continue;
    const auto status = TRY(child.wait());
    return status.code;
  }
}

Result<int> run_in(ImageTools& images, BundleOptions options, const std::string& id) {
  const auto husk = TRY(sibling_program("husk"));
  const auto signals = TRY(sys::signalfd({SIGINT, SIGTERM, SIGHUP, SIGQUIT}));
  auto bundle = create_bundle(images, options);
  if (!bundle.has_value()) return std::move(bundle).error();
  const auto pid_file = bundle.value().directory + "/pid";  // written when the program is about to run
  Rollback cleanup;  // on every way out
  cleanup.on_failure([&] {
    (void)sys::unlinkat(AT_FDCWD, pid_file);
    (void)remove_bundle(images, bundle.value());
  });
  SpawnOptions spawn_options{.path = husk, .arguments = {"husk", "run", "--bundle", bundle.value().directory, "--pid-file", pid_file, id}};
  spawn_options.keep_stdio = true;
  auto child = TRY(spawn(spawn_options));
  const auto code = TRY(wait_forwarding(std::move(child), signals));
  return code == kHuskFailed && !path_exists(pid_file) ? kNotRun : code;
}

Result<int> run(const Invocation& invocation) {
  const auto& parsed = invocation.parsed;
  auto options = TRY(parse_run_options(parsed));
  // A person at a terminal wants one, as with a shell.
  if (parsed.has("interactive") && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) options.request.terminal = true;
  options.image = parsed.positional[0];
  options.request.command.assign(parsed.positional.begin() + 1, parsed.positional.end());
  const auto name = parsed.has("name") ? parsed.text("name") : "image-run-" + random_hex(6);
  const auto id = TRY(ContainerId::parse(name));
  const char* temporary = std::getenv("TMPDIR");
  options.directory = format_text("{}/husk-run-{}", temporary == nullptr ? "/tmp" : temporary, random_hex(8));
  const auto images = TRY(open_tools(invocation.store));
  auto code = run_in(*images, std::move(options), id.text());
  if (code.has_value()) return code;
  std::fprintf(stderr, "husk-image: run: %s\n", code.error().to_string().c_str());
  return kNotRun;
}

}  // namespace

const Verb kRun{"run", "IMAGE [COMMAND…]", "run a command in a new container of an image, in the foreground",
                kOptions, 1, 10000, 1, run};

}  // namespace husk::images::cli
