#include <cstdio>

#include "images/bundle.h"
#include "images/cli/run_options.h"
#include "images/cli/verb.h"

namespace husk::images::cli {
namespace {

constexpr Option kOptions[] = {
    {0, "remove", "", "undo: husk-image bundle --remove DIR"}, kRunEnv,      kRunVolume,  kRunTty,     kRunUser,
    kRunWorkdir,                                               kRunHostname, kRunNetwork, kRunReadOnly, kRunEntrypoint};

Result<int> run(const Invocation& invocation) {
  const auto& parsed = invocation.parsed;
  if (parsed.has("remove")) {
    if (parsed.positional.size() != 1)
      return Error{Kind::invalid, "bundle --remove takes one directory"}.hint("husk-image bundle --remove DIR");
    const auto bundle = TRY(open_bundle(parsed.positional[0]));
    const auto images = TRY(open_tools(invocation.store));
    TRY(remove_bundle(*images, bundle));
    return 0;
  }
  if (parsed.positional.size() < 2)
    return Error{Kind::invalid, "bundle needs an image and a directory"}.hint("husk-image bundle IMAGE DIR [COMMAND…]");
  auto options = TRY(parse_run_options(parsed));
  options.image = parsed.positional[0];
  options.directory = parsed.positional[1];
  options.request.command.assign(parsed.positional.begin() + 2, parsed.positional.end());
  const auto images = TRY(open_tools(invocation.store));
  const auto bundle = TRY(create_bundle(*images, options));
  std::printf("%s\n", bundle.directory.c_str());
  return 0;
}

}  // namespace

const Verb kBundle{"bundle", "IMAGE DIR [COMMAND…]", "make an OCI bundle of an image in DIR", kOptions, 1, 1000, 2, run};

}  // namespace husk::images::cli
