// Work inside another network namespace: always on a thread made for it, so that no thread of the caller ever
// changes its own. Source: man 2 setns (the namespace is an attribute of the thread).
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netns/netlink/socket.h"

namespace husk::netns {

// Runs `work` on a new thread and waits for it.
Status on_new_thread(const std::function<Status()>& work);

// Opens the namespace pinned at `path`. Errors: not_found, invalid (not a network namespace).
Result<UniqueFd> open_namespace(const std::string& path);
Status in_namespace(const UniqueFd& netns, const std::function<Status()>& work);
// A rtnetlink socket that talks to `netns`, usable from any thread. `prepare` runs inside first.
Result<netlink::Socket> open_route_socket(const UniqueFd& netns, const std::function<Status()>& prepare = {});

}  // namespace husk::netns
