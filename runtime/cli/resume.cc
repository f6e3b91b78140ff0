#include <array>

#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<int> run_resume(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  TRY(runtime::resume_container(runtime::StateStore{globals.root}, id));
  return 0;
}

}  // namespace

const Verb kResumeVerb{.name = "resume", .arguments = "ID", .summary = "thaw a paused container", .options = kOptions, .run = run_resume};

}  // namespace husk::cli
