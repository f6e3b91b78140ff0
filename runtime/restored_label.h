// The profile or label that restored processes run under. CRIU keeps it in its image and gives it back, or another one
// that it is told; a CRIU that was built without the module does neither, and says nothing. So husk-criu looks: after a
// checkpoint whether the image has it, and at a restore before a process runs.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace husk::runtime {

// "apparmor:NAME" or "selinux:LABEL" as --lsm-profile writes them; "" = unconfined, or the host has neither module.
Result<std::string> label_of(pid_t pid);

// Whether CRIU has written down `label`. Errors: unsupported.
Status check_saved_label(int images, const std::string& label);

// What the container's init must run under: `option` (--lsm-profile), else `saved`, its label at the checkpoint, when
// config.json asks for any (`asked`). "" = nothing was asked for. Errors: also when the kernel would not give it.
Result<std::string> plan_restored_label(const std::string& option, const std::string& saved, bool asked);
Status check_restored_label(const std::string& wanted, pid_t init);

// Whether the host's policy knows the label of --lsm-mount-context: CRIU's own error would not say so.
Status check_mount_context(const std::string& label);

}  // namespace husk::runtime
