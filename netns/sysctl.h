// Kernel settings below /proc/sys/net of the calling thread's network namespace.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace husk::netns {

// "net.ipv4.ip_forward" → "/proc/sys/net/ipv4/ip_forward". As in sysctl(8) the first separator decides: in
// "net/ipv4/conf/eth0.1/arp_ignore" the dot belongs to a name. Errors: invalid, for what is not below net.
Result<std::string> sysctl_path(std::string_view key);

Status write_sysctl(std::string_view key, std::string_view value);
// Writes only what differs: a host whose /proc/sys is read-only may have the right value already.
Status ensure_sysctl(std::string_view key, std::string_view value);
bool has_sysctl(std::string_view key);

}  // namespace husk::netns
