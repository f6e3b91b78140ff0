// What this host has of that which `features` says husk can do. The document itself speaks of the runtime alone
// ("irrelevant to the actual availability of the features in the host operating system", runtime-spec features.md),
// but for seccomp; a caller that decides about this machine finds the rest in its annotations.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace husk::runtime {

// In a fixed order. Values are "true", "false", or words with commas between them. What cannot be known with the
// rights of the caller is left out.
using HostFacts = std::vector<std::pair<std::string, std::string>>;
HostFacts find_host_facts();

}  // namespace husk::runtime
