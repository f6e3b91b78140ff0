#include <array>

#include "cli/verb.h"
#include "store.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kHelpOption};

Result<int> run_state(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  const auto directory = TRY(runtime::StateStore{globals.root}.open(id));
  const auto record = directory.read();
  if (!record.has_value()) return record.error();
  const auto phase = TRY(directory.live_phase(record.value()));
  TRY(print(runtime::printed_state(record.value(), phase).dump(2) + "\n"));
  return 0;
}

}  // namespace

const Verb kStateVerb{.name = "state", .arguments = "ID", .summary = "print the OCI state as JSON", .options = kOptions, .run = run_state};

}  // namespace husk::cli
