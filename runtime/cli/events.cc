#include "events.h"

#include <array>

#include "cli/verb.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{0, "stats", "", "print the statistics once and end"},
                              Option{0, "interval", "DURATION", "time between statistics, as 5s (default), 1m30s or 250ms"}, kHelpOption};

Result<int> run_events(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  const auto interval = TRY(runtime::parse_interval(parsed.has("interval") ? parsed.text("interval") : std::string{"5s"}));
  const runtime::StateStore store{globals.root};
  const runtime::Show show = [](const oci::Json& event) { return print(event.dump() + "\n"); };
  TRY(parsed.has("stats") ? runtime::show_stats(store, id, show) : runtime::follow_events(store, id, interval, show));
  return 0;
}

}  // namespace

const Verb kEventsVerb{.name = "events",
                       .arguments = "ID",
                       .summary = "print statistics and out-of-memory kills of a container",
                       .options = kOptions,
                       .run = run_events};

}  // namespace husk::cli
