// What create and run have in common.
#pragma once

#include "cli/verb.h"
#include "plan.h"

namespace husk::cli {

inline constexpr Option kBundleOption{'b', "bundle", "DIR", "directory with config.json and rootfs (default: here)"};
inline constexpr Option kConfigOption{'f', "config", "FILE", "read this file instead of DIR/config.json, - for standard input"};
inline constexpr Option kConsoleSocketOption{0, "console-socket", "PATH", "send the terminal's master to this socket"};
inline constexpr Option kPidfdSocketOption{0, "pidfd-socket", "PATH", "send a pidfd of the first process to this socket"};
inline constexpr Option kPidFileOption{0, "pid-file", "FILE", "write the pid of the first process there"};
inline constexpr Option kNoPivotOption{0, "no-pivot", "", "use chroot instead of pivot_root (root on initramfs)"};
inline constexpr Option kNoKeyringOption{0, "no-new-keyring", "", "keep the caller's session keyring"};
inline constexpr Option kPreserveFdsOption{0, "preserve-fds", "N", "pass on N descriptors from 3 up"};
inline constexpr Option kNoSubreaperOption{0, "no-subreaper", "", "do not take over orphans of the container"};

Result<runtime::CreateOptions> make_create_options(const Globals& globals, const Parsed& parsed);

// How many descriptors from 3 up a caller hands over: $LISTEN_FDS, when it is meant for us.
int announced_fds();
std::string host_notify_socket();  // $NOTIFY_SOCKET, "" without

}  // namespace husk::cli
