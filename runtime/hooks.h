// Runs the hooks of one kind, in order: state JSON on stdin, own environment, time-out.
// Source: runtime-spec config.md#posix-platform-hooks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"
#include "oci-spec/state.h"

namespace husk::runtime {

// What they print is shown when one fails, or appended to the files that run.oci.hooks.stdout and .stderr name.
// Their working directory is the bundle, where it can be reached.
// Stops at the first failure: "error running createRuntime hook #1: …" (index from 0; parsed by callers).
// `init`: the process whose end ends a hook too. Errors: unavailable then.
Status run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const oci::State& state, const UniqueFd* init = nullptr);
// Runs all; failures become warnings (poststop: runtime.md#lifecycle step 13).
void run_all_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const oci::State& state);

}  // namespace husk::runtime
