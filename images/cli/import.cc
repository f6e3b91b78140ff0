#include <cstdio>

#include "images/cli/config_options.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {kCmd, kEntrypoint, kEnv, kWorkdir, kUser, kExpose, kVolume, kLabel, kStopSignal};

Result<int> run(const Invocation& invocation) {
  const auto& parsed = invocation.parsed;
  const auto changes = TRY(parse_changes(parsed));
  const auto images = TRY(open_tools(invocation.store));
  const auto id = TRY(images->import_with(parsed.positional[0], parsed.positional[1], changes));
  std::printf("%s\n", id.c_str());
  return 0;
}

}  // namespace

const Verb kImport{"import", "FILE|DIR NAME", "make an image from an OCI layout, a docker-archive, a root file system tar or directory",
                   kOptions, 2, 2, 0, run};

}  // namespace husk::images::cli
