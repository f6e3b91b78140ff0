#include <array>

#include "cli/create_options.h"
#include "cli/verb.h"
#include "container.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<int> run_start(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  TRY(runtime::start_container(runtime::StateStore{globals.root}, id, host_notify_socket()));
  return 0;
}

}  // namespace

const Verb kStartVerb{.name = "start", .arguments = "ID", .summary = "run the program of a created container", .options = kOptions, .run = run_start};

}  // namespace husk::cli
