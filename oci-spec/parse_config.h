// config.json text → Spec. Errors are Kind::invalid and name the JSON pointer and the rule's anchor.
// Unknown properties are ignored (config.md#extensibility); wrong values of known ones never.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

// crun's name for linux.seccomp.listenerPath, from before the specification had it; taken where that is absent.
inline constexpr std::string_view kSeccompReceiver = "run.oci.seccomp.receiver";

Result<Spec> parse_config(std::string_view text);        // parse and validate
Result<Process> parse_process(std::string_view text);    // `husk exec --process FILE`
Result<Resources> parse_resources(std::string_view text);  // `husk update --resources FILE`
Result<std::vector<Mount>> parse_mounts(std::string_view text);  // `husk mounts`: an array as config.json's "mounts"

// Rules that span several fields. Called by parse_config.
Status validate(const Spec& spec);
Status validate_process(const Process& process, std::string_view pointer);
// Each at `pointer`/N. `user_namespace`: the container has one, whose mappings "idmap" takes when it is given none.
Status validate_mounts(const std::vector<Mount>& mounts, bool user_namespace, std::string_view pointer);
Status validate_resources(const Resources& resources, std::string_view pointer);

// Spec → config.json text (pretty). parse_config(write_config(s)) gives s back.
std::string write_config(const Spec& spec);
std::string write_process(const Process& process);
std::string write_resources(const Resources& resources);
std::string write_mounts(const std::vector<Mount>& mounts);

}  // namespace husk::oci
