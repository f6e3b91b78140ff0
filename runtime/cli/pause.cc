#include <array>

#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<int> run_pause(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  TRY(runtime::pause_container(runtime::StateStore{globals.root}, id));
  return 0;
}

}  // namespace

const Verb kPauseVerb{.name = "pause", .arguments = "ID", .summary = "freeze all processes of a container", .options = kOptions, .run = run_pause};

}  // namespace husk::cli
