// The talk between the parent (husk) and the child that becomes the container's first process: one
// SOCK_SEQPACKET pair, numbered steps in a fixed order. Both sides carry "// handshake N" comments.
//   1 parent → child  id maps, oom score, device filter are set: go. The child waits for it first of all when it
//                     needs one of them (needs_go in spawn.cc), else, and in exec, just before 4
//   2 child → parent  mounts are in place          (only when the parent has hooks to run)
//   3 parent → child  prestart and createRuntime hooks ran
//   4 child → parent  everything but the program is set up
//   5 parent → child  start (create only, through the start socket)
//   6 child → parent  startContainer hooks ran, the program is next (not in exec, which has no hooks)
// A new network namespace is made by the parent, side by side with the child's mounts, and comes before 1.
// Before the exec, a filter with a listener makes an offer (listener.h).
// Warnings and one error may come from the child at any time; end of file means it died, or ran its
// program when 4 came before.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::runtime {

enum class Step : char { go = '1', mounted = '2', hooks_ran = '3', ready = '4', start = '5', executing = '6' };

// A seccomp listener that comes into being behind this message.
inline constexpr char kAgentHasIt = 1;  // first byte of the page that was touched
struct ListenerOffer {
  UniqueFd faults;
  std::uintptr_t memory = 0;
};
using OnListener = std::function<Status(const ListenerOffer& offer)>;

// One end. Borrowed by both sides after the clone.
class Channel {
 public:
  explicit Channel(UniqueFd fd) : fd_{std::move(fd)} {}
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  Status send(Step step) const;
  Status send_pid(pid_t pid) const;
  Status send_warning(std::string_view text) const;
  Status send_error(const Error& error) const;
  // Before 1: the network namespace that the parent makes while the child mounts.
  Status send_network(const UniqueFd& ns) const;
  Result<UniqueFd> expect_network() const;

  // Waits for `step`. Warnings are logged on the way; the peer's error is returned as it is.
  // Errors: unavailable when the peer is gone.
  Status expect(Step step) const;
  Result<pid_t> expect_pid() const;
  Status send_listener(const ListenerOffer& offer) const;
  // Waits until the peer closes its end (exec) or reports an error.
  Status expect_close(const OnListener& on_listener) const;
  // 6 and then the end: an init that is killed in a hook has not started anything.
  Status expect_program(const OnListener& on_listener) const;

 private:
  UniqueFd fd_;
};

struct ChannelPair {
  Channel parent;
  Channel child;
};
Result<ChannelPair> make_channels();

}  // namespace husk::runtime
