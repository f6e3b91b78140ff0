// sd_notify for containers: the container gets a socket of its own at /run/notify, and husk passes on what may be said
// there to $NOTIFY_SOCKET, whose socket itself no container sees. Read `NotifyProxy` first.
// Source: man 3 sd_notify; runc and crun do the same at the same place.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci-spec/runtime_spec.h"

namespace husk::runtime {

inline constexpr const char* kNotifyDirectory = "notify";  // in the container's state directory

// The mount of `directory` and the variable. A configuration that sets NOTIFY_SOCKET itself has its own arrangement.
void add_notify(oci::Spec& spec, const std::string& directory);

// What of a datagram may go on, line by line; "" when nothing may. The container must not name another main process,
// hand over descriptors or change who may speak.
std::string passable_notifications(std::string_view datagram);
bool says_ready(std::string_view lines);

// The socket that the container sends to, and the host's. Not to be made in a directory that it can write to.
class NotifyProxy {
 public:
  // `directory`: kNotifyDirectory of the container. `host`: $NOTIFY_SOCKET, a path or "@abstract".
  static Result<NotifyProxy> open(const std::string& directory, const std::string& host);

  int fd() const { return container_.get(); }
  std::vector<int> descriptors() const { return {container_.get(), host_.get()}; }
  // Passes one datagram on, when the socket is readable. True: the container is ready.
  Result<bool> pass_on(std::optional<pid_t> main_pid) const;
  // Until the container says READY=1, or is over. The host then hears MAINPID too, since we will be gone.
  Status wait_ready(pid_t pid, const UniqueFd& pidfd) const;

 private:
  NotifyProxy(UniqueFd container, UniqueFd host) : container_{std::move(container)}, host_{std::move(host)} {}
  UniqueFd container_;
  UniqueFd host_;
};

}  // namespace husk::runtime
