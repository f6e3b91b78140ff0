// The OCI state document, as printed by `husk state` and sent to hooks.
// Source: runtime-spec runtime.md#state.
#pragma once

#include <string>

#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

struct State {
  std::string id;
  std::string status;  // creating, created, running, paused (ours), stopped
  int pid = 0;         // 0 and omitted when stopped
  std::string bundle;
  StringMap annotations;
  // Beyond the specification, as runc prints them:
  std::string rootfs;
  std::string created;  // RFC 3339
  std::string owner;
};
Json state_json(const State& state);        // ociVersion, id, pid, status first
Json hook_state_json(const State& state);   // only what the specification names

}  // namespace husk::oci
