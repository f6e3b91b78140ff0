#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {{'a', "all-names", "", "remove the image with all its names"}};

Result<int> run(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  for (const auto& reference : invocation.parsed.positional)
    TRY(invocation.parsed.has("all-names") ? store->remove(reference) : store->untag(reference));
  return 0;
}

}  // namespace

const Verb kRm{"rm", "IMAGE…", "remove a name; the image goes with its last tag", kOptions, 1, 1000, 0, run};

}  // namespace husk::images::cli
