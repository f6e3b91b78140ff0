// Credentials that people keep: containers' auth.json and Docker's config.json.
// Source: man 5 containers-auth.json. Only husk-image reads them; CRI sends credentials with each call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "images/images.h"
#include "images/reference.h"

namespace husk::images {

// The files looked at, first to last: $REGISTRY_AUTH_FILE alone when set, else the runtime directory's
// containers/auth.json, ~/.config/containers/auth.json, $DOCKER_CONFIG or ~/.docker/config.json.
std::vector<std::string> auth_files();

// The most specific entry (host/ns/repo … host) of the first file that has one; nullopt: anonymous.
Result<std::optional<Credentials>> find_credentials(const std::vector<std::string>& files, const Reference& reference);

}  // namespace husk::images
