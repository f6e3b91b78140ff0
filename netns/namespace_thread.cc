#include "netns/namespace_thread.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/socket.h>

#include <optional>
#include <system_error>
#include <thread>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::netns {

Status on_new_thread(const std::function<Status()>& work) {
  Status result = ok();
  try {
    std::thread thread{[&] { result = work(); }};
    thread.join();
  } catch (const std::system_error& error) {
    return Error{Kind::exhausted, "create a thread for the network namespace", error.code().value()};
  }
  return result;
}

Result<UniqueFd> open_namespace(const std::string& path) {
  auto netns = TRY(sys::openat(AT_FDCWD, path, O_RDONLY).during("open network namespace"));
  const auto where = TRY(sys::fstatfs(netns.get()));
  // NSFS_MAGIC: a plain file here is a pin whose mount is gone.
  if (where.f_type != NSFS_MAGIC)
    return Error{Kind::invalid, format_text("{} is not a network namespace", quote(path))};
  return netns;
}

Status in_namespace(const UniqueFd& netns, const std::function<Status()>& work) {
  return on_new_thread([&]() -> Status {
    TRY(sys::setns(netns.get(), CLONE_NEWNET));
    return work();
  });
}

Result<netlink::Socket> open_route_socket(const UniqueFd& netns, const std::function<Status()>& prepare) {
  std::optional<netlink::Socket> socket;
  const auto open_inside = [&]() -> Status {
    if (prepare) TRY(prepare());
    socket = TRY(netlink::Socket::open(NETLINK_ROUTE));
    return ok();
  };
  TRY(in_namespace(netns, open_inside));
  return std::move(*socket);
}

}  // namespace husk::netns
