#include <cstdio>

#include "images/bundle.h"
#include "images/cli/config_options.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {kCmd,    kEntrypoint, kEnv,        kWorkdir, kUser, kExpose, kVolume, kLabel, kStopSignal,
                               {'a', "author", "TEXT", "who made it"}, {'m', "message", "TEXT", "what it is"}};

Result<int> run(const Invocation& invocation) {
  const auto& parsed = invocation.parsed;
  CommitOptions options{.author = parsed.text("author"), .comment = parsed.text("message")};
  options.changes = TRY(parse_changes(parsed));
  const auto bundle = TRY(open_bundle(parsed.positional[0]));
  const auto images = TRY(open_tools(invocation.store));
  const auto id = TRY(commit_bundle(*images, bundle, parsed.positional[1], std::move(options)));
  std::printf("%s\n", id.c_str());
  return 0;
}

}  // namespace

const Verb kCommit{"commit", "DIR NAME", "make an image of a bundle: its read-write layer on top of its image",
                   kOptions, 2, 2, 0, run};

}  // namespace husk::images::cli
