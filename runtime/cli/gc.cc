#include <array>

#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'n', "dry-run", "", "only print what would be removed"}, kHelpOption};

Result<int> run_gc(const Globals& globals, const Parsed& parsed) {
  TRY(parsed.at_most(0));
  const auto collected = TRY(runtime::collect_cut_short(runtime::StateStore{globals.root}, parsed.has("dry-run")));
  std::string text;
  for (const auto& id : collected) text += id + "\n";
  TRY(print(text));
  return 0;
}

}  // namespace

const Verb kGcVerb{.name = "gc", .arguments = "", .summary = "remove what is left of containers whose create was killed", .options = kOptions, .run = run_gc};

}  // namespace husk::cli
