#include <array>

#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'f', "force", "", "end the container first; a missing one is no error"}, kHelpOption};

Result<int> run_delete(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  TRY(runtime::delete_container(runtime::StateStore{globals.root}, id, parsed.has("force")));
  return 0;
}

}  // namespace

const Verb kDeleteVerb{.name = "delete", .arguments = "ID", .summary = "remove a container that has stopped", .options = kOptions, .run = run_delete};

}  // namespace husk::cli
