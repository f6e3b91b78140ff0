// husk-scope: speaks with systemd for husk, which is static and cannot. One request on standard input, a packet
// socket; the outcome goes back there. Its argument: whose systemd, "system" or "user".
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "base/sys.h"
#include "cgroups/systemd/program/bus.h"

namespace {

using namespace husk;
using namespace husk::cgroups::systemd;

int usage() {
  (void)sys::write_all(STDERR_FILENO, "husk-scope: started by husk --systemd-cgroup, and by nobody else\n");
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view name = count == 2 ? arguments[1] : "";
  if (name != "system" && name != "user") return usage();
  // Whose request it is must live: a scope of a create that was killed is not to be started.
  (void)sys::set_parent_death_signal(SIGKILL);
  auto bus = Bus::connect(name == "user" ? Manager::user : Manager::system);
  const auto packet = sys::receive_message(STDIN_FILENO, kLongestRequest + 1);
  if (!packet.has_value()) return usage();
  if (packet.value().end_of_file) return 0;
  const auto request = parse_request(packet.value().data);
  const auto outcome = !request.has_value() ? Status{request.error()}
                       : !bus.has_value()   ? Status{bus.error()}
                                            : bus.value().perform(request.value());
  return sys::send_message(STDIN_FILENO, write_reply(outcome)).has_value() ? 0 : 1;
}
