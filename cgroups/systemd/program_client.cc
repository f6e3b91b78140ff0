#include "cgroups/systemd/program_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"

namespace husk::cgroups::systemd {
namespace {

constexpr std::size_t kLongestReply = 64U << 10U;

// Source: man 3 sd_booted.
Status check_booted(Manager manager) {
  if (manager == Manager::user || path_exists("/run/systemd/system")) return ok();
  return Error{Kind::unsupported, "systemd is not the init of this host: /run/systemd/system is missing"}.hint(
      "use --cgroup-manager cgroupfs (no --systemd-cgroup), or boot with systemd; in a container, bind-mount /run/systemd "
      "and /sys/fs/cgroup of the host");
}

}  // namespace

Result<ScopeProgram> ScopeProgram::start(Manager manager) {
  TRY(check_booted(manager));
  auto path = TRY(sibling_program("husk-scope").hint("--systemd-cgroup needs husk-scope in the directory of husk"));
  auto pair = TRY(sys::socketpair(SOCK_SEQPACKET));
  auto child = TRY(spawn({.path = std::move(path),
                          .arguments = {"husk-scope", std::string{name_of(manager)}},
                          .descriptors = {{.from = pair.second.get(), .target = STDIN_FILENO}},
                          .keep_stdio = true}));
  return ScopeProgram{std::move(child), std::move(pair.first)};
}

Status ScopeProgram::ask(const Request& request) {
  const auto text = write_request(request);
  if (text.size() > kLongestRequest)
    return Error{Kind::invalid, format_text("the properties of unit {} take {} bytes", quote(request.unit), text.size())}.hint(
        format_text("at most {} bytes: allow devices by major number instead of one by one", kLongestRequest));
  const auto sent = sys::send_message(socket_.get(), text);
  auto reply = sent.has_value() ? sys::receive_message(socket_.get(), kLongestReply) : Result<sys::Received>{sent.error()};
  if (reply.has_value() && !reply.value().end_of_file) return parse_reply(reply.value().data);
  const auto ended = TRY(child_.wait());
  return Error{Kind::internal, format_text("husk-scope ended with {} before it answered", ended.code)};
}

}  // namespace husk::cgroups::systemd
