// The annotations of config.json that husk knows, beside org.systemd.property.* and org.criu.config: those of crun.
// man/husk.1 has them as a table. Any other one is passed over (config.md#configAnnotations).
// Source: crun(1), "EXTENSIONS TO OCI".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

inline constexpr std::string_view kKeepGroups = "run.oci.keep_original_groups";
inline constexpr std::string_view kFailUnknownCall = "run.oci.seccomp_fail_unknown_syscall";
inline constexpr std::string_view kPidfdReceiver = "run.oci.pidfd_receiver";
inline constexpr std::string_view kMountContextType = "run.oci.mount_context_type";
inline constexpr std::string_view kHooksStdout = "run.oci.hooks.stdout";
inline constexpr std::string_view kHooksStderr = "run.oci.hooks.stderr";

// nullptr without it.
const std::string* find_annotation(const oci::StringMap& annotations, std::string_view key);

// Those that would make another container of it than the one we would run. Errors: unsupported, invalid.
Status check_annotations(const oci::StringMap& annotations);

// For `features`: whoever lets strangers write annotations must think of these; the last letter "." means a prefix.
std::vector<std::string> unsafe_annotations();

}  // namespace husk::runtime
