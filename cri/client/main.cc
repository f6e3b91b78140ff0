// husk-pod: the command line of a small CRI client.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/client/commands.h"
#include "cri/client/text/values.h"
#include "cri/client/text/verbs.h"

namespace husk::pod {
namespace {

constexpr int kWrongUsage = 2;

struct Command {
  std::string_view name;
  Result<int> (*run)(Daemon&, const Options&);
  int own_failure;
};
constexpr std::array<Command, 11> kCommands{{{"run", run_run, kOwnFailure},
                                             {"ps", run_ps, 1},
                                             {"exec", run_exec, kOwnFailure},
                                             {"logs", run_logs, 1},
                                             {"stats", run_stats, 1},
                                             {"stop", run_stop, 1},
                                             {"rm", run_rm, 1},
                                             {"images", run_images, 1},
                                             {"pull", run_pull, 1},
                                             {"rmi", run_rmi, 1},
                                             {"info", run_info, 1}}};

std::string socket_address(const Options& global) {
  if (const auto given = global.value("socket")) return *given;
  if (const char* from_environment = std::getenv("HUSK_SOCKET"); from_environment != nullptr && *from_environment != '\0')
    return from_environment;
  return "unix:///run/husk/huskd.sock";
}

Result<int> run_verb(const Options& global, const Options& options, const Command& command) {
  std::int64_t timeout = 120;
  if (const auto given = global.value("timeout")) timeout = TRY(parse_seconds(*given).during("--timeout"));
  auto daemon = TRY(Daemon::connect(socket_address(global), std::chrono::seconds{timeout}));
  return command.run(daemon, options);
}

int fail(const Error& error, int code) {
  if (error.os_errno() == EPIPE) return code;  // `| head` has seen enough: nothing to complain about
  log::error(error.to_string());
  return code;
}

int run_program(std::span<const std::string> arguments) {
  const auto global = parse_options(arguments, global_options(), 1);
  if (!global.has_value()) return fail(Error{global.error()}.hint("see husk-pod --help"), kWrongUsage);
  const auto& words = global.value().words();
  if (words.empty() && global.value().has("version"))
    return print(format_text("husk-pod {}\n", HUSK_VERSION)).has_value() ? 0 : 1;
  if (words.empty() && global.value().has("help")) return print(program_help()).has_value() ? 0 : 1;
  if (words.empty()) {
    log::error("a verb is missing (hint: see husk-pod --help)");
    return kWrongUsage;
  }
  const auto* verb = find_verb(words.front());
  if (verb == nullptr) return fail(Error{Kind::invalid, format_text("unknown verb {}", quote(words.front()))}.hint("see husk-pod --help"), kWrongUsage);
  const Command* command = nullptr;
  for (const auto& each : kCommands)
    if (each.name == verb->name) command = &each;
  require(command != nullptr, "husk-pod: a verb without a function");
  const auto options = parse_verb(*verb, std::span{words}.subspan(1));
  if (!options.has_value()) return fail(Error{options.error()}.during(verb->name), kWrongUsage);
  if (options.value().has("help")) return print(verb_help(*verb)).has_value() ? 0 : 1;
  const auto done = run_verb(global.value(), options.value(), *command);
  if (done.has_value()) return done.value();
  return fail(Error{done.error()}.during(verb->name), command->own_failure);
}

}  // namespace

Status print(const std::string& text) { return sys::write_all(STDOUT_FILENO, text); }

}  // namespace husk::pod

int main(int argc, char** argv) {
  husk::log::Options options;
  options.program = "husk-pod";
  (void)husk::log::open(options);  // opens no file
  // A pager that was closed: the write fails with EPIPE and the verb ends.
  (void)signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const int code = husk::pod::run_program(arguments);
  // gRPC's global shutdown joins its threads and takes longer than most verbs; nothing is left to do.
  _exit(code);
}
