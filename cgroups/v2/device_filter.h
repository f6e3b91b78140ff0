// Device rules → an eBPF program that the kernel asks at each open and mknod of a device node.
// Source: linux/bpf.h, struct bpf_cgroup_dev_ctx; instruction set: RFC 9669.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cgroups::v2 {

// `rules` as reduce_rules gives them. Pure.
std::vector<bpf_insn> assemble_device_filter(const std::vector<oci::DeviceRule>& rules);

// Loads the filter and attaches it to the cgroup beside others (BPF_F_ALLOW_MULTI: all must allow).
// Does nothing when the rules allow everything. Errors: denied, unsupported.
Status attach_device_filter(int cgroup_fd, const std::vector<oci::DeviceRule>& rules);

// Puts another filter in the place of ours, at one moment: no access goes by unfiltered, and none that both allow is
// refused. Programs of others (systemd) stay. Errors: denied, unsupported; then the old one is in force.
Status replace_device_filter(int cgroup_fd, const std::vector<oci::DeviceRule>& rules);

}  // namespace husk::cgroups::v2
