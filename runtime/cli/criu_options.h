// What checkpoint and restore have in common.
#pragma once

#include <string>

#include "checkpoint.h"
#include "cli/verb.h"

namespace husk::cli {

extern const Verb kCheckpointVerb;
extern const Verb kRestoreVerb;

inline constexpr Option kImagePathOption{0, "image-path", "DIR", "where the image is (default: checkpoint)"};
inline constexpr Option kWorkPathOption{0, "work-path", "DIR", "where CRIU writes its log (default: the image's directory)"};
inline constexpr Option kTcpEstablishedOption{0, "tcp-established", "", "keep open TCP connections"};
inline constexpr Option kExtUnixSkOption{0, "ext-unix-sk", "", "allow unix sockets connected to the outside"};
inline constexpr Option kShellJobOption{0, "shell-job", "", "allow a terminal that is not the container's own"};
inline constexpr Option kFileLocksOption{0, "file-locks", "", "keep file locks"};
inline constexpr Option kCgroupsModeOption{0, "manage-cgroups-mode", "MODE", "soft (default), full, strict, props, none or ignore"};
inline constexpr Option kNetworkLockOption{0, "network-lock", "METHOD", "how traffic is held up meanwhile: iptables, nftables or skip"};
inline constexpr Option kEmptyNsOption{0, "empty-ns", "NAME", "leave this namespace empty; network is the only one"};

// Both verbs' part of the options; relative paths are taken from here.
Result<runtime::CriuOptions> parse_criu_options(const Parsed& parsed);
Status set_page_server(const std::string& text, criu::Request& request);  // "ADDRESS:PORT"

}  // namespace husk::cli
