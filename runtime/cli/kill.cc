#include <array>
#include <optional>

#include "base/format.h"
#include "base/text.h"
#include "cli/verb.h"
#include "container.h"
#include "signal_names.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'a', "all", "", "send the signal to every process of the container"}, kHelpOption};

Result<int> run_kill(const Globals& globals, const Parsed& parsed) {
  TRY(parsed.at_most(2));
  const auto id = TRY(parsed.id_at(0));
  const auto name = parsed.positional().size() > 1 ? parsed.positional()[1] : std::string{"SIGTERM"};
  const int signal = TRY(runtime::parse_signal(name));
  TRY(runtime::kill_container(runtime::StateStore{globals.root}, {.id = id, .signal = signal, .all = parsed.has("all")}));
  return 0;
}

}  // namespace

const Verb kKillVerb{.name = "kill",
                     .arguments = "ID [SIGNAL]",
                     .summary = "send a signal (name or number, default TERM)",
                     .options = kOptions,
                     .run = run_kill};

}  // namespace husk::cli
