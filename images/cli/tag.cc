#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const auto store = TRY(open_tools(invocation.store));
  TRY(store->tag(invocation.parsed.positional[0], invocation.parsed.positional[1]));
  return 0;
}

}  // namespace

const Verb kTag{"tag", "IMAGE NAME", "give an image one more name", {}, 2, 2, 0, run};

}  // namespace husk::images::cli
