// What bundle and run have in common.
#pragma once

#include "images/bundle.h"
#include "images/cli/verb.h"

namespace husk::images::cli {

inline constexpr Option kRunEnv{'e', "env", "NAME=VALUE", "set a variable; NAME alone passes ours on (repeat)"};
inline constexpr Option kRunVolume{'v', "volume", "HOST:INSIDE[:ro]", "mount a host directory or file (repeat)"};
inline constexpr Option kRunTty{'t', "tty", "", "give the command a terminal"};
inline constexpr Option kRunUser{'u', "user", "USER[:GROUP]", "run as this user instead of the image's"};
inline constexpr Option kRunWorkdir{'w', "workdir", "DIR", "working directory"};
inline constexpr Option kRunHostname{0, "hostname", "NAME", "host name inside"};
inline constexpr Option kRunNetwork{0, "net", "none|host", "network: none (only lo, default) or the host's"};
inline constexpr Option kRunReadOnly{0, "read-only", "", "mount the root file system read-only"};
inline constexpr Option kRunEntrypoint{0, "entrypoint", "WORDS", "instead of the image's entrypoint"};

Result<BundleOptions> parse_run_options(const Parsed& parsed);

}  // namespace husk::images::cli
