// Kernel parameters: names to files below /proc/sys, and which namespace each belongs to.
// Source: config-linux.md#configLinuxSysctl; man 8 sysctl, man 5 sysctl.d (order of "." and "/").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::oci {

// "net.ipv4.ip_forward" and "net/ipv4/ip_forward" → "net/ipv4/ip_forward". The first of "." and "/" is
// the separator, the other one stands for itself: "net.ipv4.conf.eth0/1.rp_filter" and
// "net/ipv4/conf/eth0.1/rp_filter" are the same. Errors: invalid; never gives "..", "" or a leading "/".
Result<std::string> sysctl_path(std::string_view name);

// The namespace that keeps this parameter apart from the host's; nullopt: it is the host's.
std::optional<NamespaceType> find_sysctl_namespace(std::string_view path);

}  // namespace husk::oci
