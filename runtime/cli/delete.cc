#include <array>

#include "cli/matching.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'f', "force", "", "end the container first; a missing one is no error"}, kRegexOption, kHelpOption};

Result<int> run_delete(const Globals& globals, const Parsed& parsed) {
  const runtime::StateStore store{globals.root};
  const auto remove = [&](const ContainerId& id) { return runtime::delete_container(store, id, parsed.has("force")); };
  if (parsed.has("regex")) {
    TRY(parsed.at_most(1));
    const auto pattern = TRY(pattern_of(parsed));
    TRY(for_each_match(globals, pattern, remove));
    return 0;
  }
  const auto id = TRY(parsed.only_id());
  TRY(remove(id));
  return 0;
}

}  // namespace

const Verb kDeleteVerb{.name = "delete", .arguments = "ID", .summary = "remove a container that has stopped", .options = kOptions, .run = run_delete};

}  // namespace husk::cli
