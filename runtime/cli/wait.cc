#include <array>

#include "base/format.h"
#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<int> run_wait(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  const int code = TRY(runtime::wait_for_container(runtime::StateStore{globals.root}, id));
  TRY(print(format_text("{}\n", code)));
  return code;
}

}  // namespace

const Verb kWaitVerb{.name = "wait", .arguments = "ID", .summary = "wait for the end of a container and print its exit code", .options = kOptions, .run = run_wait};

}  // namespace husk::cli
