#include "listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/sys_listener.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

constexpr const char* kListenerName = "seccompFd";  // config-linux.md#containerprocessstate

// False: the process had something else to say, or is gone.
Result<bool> wait_for_filter(const ListenerTarget& target, const UniqueFd& faults) {
  std::vector<sys::PollEntry> entries{{.fd = faults.get(), .events = POLLIN}, {.fd = target.channel, .events = POLLIN}};
  (void)TRY(sys::poll(entries, -1));
  return (entries[0].revents & POLLIN) != 0;
}

Status tell_agent(const ListenerTarget& target, const UniqueFd& listener) {
  auto connected = sys::connect_unix(target.path, SOCK_STREAM);
  // No end of the container's init: that is what "unavailable" means to create.
  if (!connected.has_value()) return std::move(connected).error().as(Kind::denied).during("connect to the seccomp agent");
  const auto connection = std::move(connected).value();
  return sys::send_message(connection.get(), container_process_state(target).dump(), {listener.get()})
      .during("send the seccomp listener");
}

}  // namespace

oci::Json container_process_state(const ListenerTarget& target) {
  oci::Json json = oci::Json::object();
  json.set("ociVersion", oci::Json{oci::kSpecVersion});
  oci::Json fds = oci::Json::array();
  fds.push(oci::Json{std::string_view{kListenerName}});
  json.set("fds", std::move(fds));
  json.set("pid", oci::Json{target.pid});
  if (!target.metadata.empty()) json.set("metadata", oci::Json{target.metadata});
  json.set("state", oci::hook_state_json(target.state));
  return json;
}

Status check_agent(const std::string& path) {
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0).during("\"/linux/seccomp/listenerPath\"").hint("the seccomp agent must be running"));
  if (S_ISSOCK(info.st_mode)) return ok();
  return Error{Kind::invalid, format_text("\"/linux/seccomp/listenerPath\": {} is no socket", quote(path))};
}

Status deliver_listener(const ListenerTarget& target, const ListenerOffer& offer) {
  if (!TRY(wait_for_filter(target, offer.faults))) return ok();
  const auto touched = TRY(sys::read_fault(offer.faults.get()));
  const auto number = static_cast<int>((touched - offer.memory) / sys::page_size());
  const auto listener = TRY(sys::pidfd_getfd(target.pidfd, number).during("take the seccomp listener"));
  TRY(tell_agent(target, listener));
  return sys::fill_page(offer.faults.get(), touched, kAgentHasIt).during("let the process go on");
}

}  // namespace husk::runtime
