#include <array>
#include <optional>

#include "base/format.h"
#include "base/text.h"
#include "cli/matching.h"
#include "container.h"
#include "signal_names.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'a', "all", "", "send the signal to every process of the container"}, kRegexOption, kHelpOption};

Result<int> run_kill(const Globals& globals, const Parsed& parsed) {
  TRY(parsed.at_most(2));
  const auto name = parsed.positional().size() > 1 ? parsed.positional()[1] : std::string{"SIGTERM"};
  const int signal = TRY(runtime::parse_signal(name));
  const runtime::StateStore store{globals.root};
  const auto kill = [&](const ContainerId& id) {
    return runtime::kill_container(store, {.id = id, .signal = signal, .all = parsed.has("all")});
  };
  if (!parsed.has("regex")) {
    const auto id = TRY(parsed.id_at(0));
    TRY(kill(id));
    return 0;
  }
  // Of many, those that have ended or are gone need no signal.
  const auto pattern = TRY(pattern_of(parsed));
  TRY(for_each_match(globals, pattern, [&](const ContainerId& id) -> Status {
    auto done = kill(id);
    const bool over = !done.has_value() && (done.error().kind() == Kind::wrong_state || done.error().kind() == Kind::not_found);
    return over ? ok() : done;
  }));
  return 0;
}

}  // namespace

const Verb kKillVerb{.name = "kill",
                     .arguments = "ID [SIGNAL]",
                     .summary = "send a signal (name or number, default TERM)",
                     .options = kOptions,
                     .run = run_kill};

}  // namespace husk::cli
