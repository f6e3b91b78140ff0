// Hands the listener of a seccomp filter to the agent of the profile. Source: config-linux.md#containerprocessstate.
// init/payload.cc is the other side: it stops in a page fault behind the load of the filter, without a system call,
// so that no filter can get in between; here the listener is taken out of it (pidfd_getfd), sent, and the page filled.
#pragma once

#include <sys/types.h>

#include <string>

#include "handshake.h"
#include "oci-spec/json.h"
#include "oci-spec/state.h"

namespace husk::runtime {

struct ListenerTarget {
  std::string path;      // the agent's socket
  std::string metadata;
  pid_t pid = 0;         // of the process with the filter
  int pidfd = -1;
  int channel = -1;      // where its error would come from
  oci::State state;
};
Status deliver_listener(const ListenerTarget& target, const ListenerOffer& offer);

oci::Json container_process_state(const ListenerTarget& target);

// Before anything is made: is there a socket at all?
Status check_agent(const std::string& path);

}  // namespace husk::runtime
