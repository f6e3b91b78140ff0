#include <unistd.h>

#include "base/sys.h"
#include "cri/client/commands.h"
#include "cri/client/inventory.h"
#include "cri/client/text/values.h"

namespace husk::pod {

Result<int> run_exec(Daemon& daemon, const Options& options) {
  const auto inventory = TRY(read_inventory(daemon));
  const auto* container = TRY(find_container(inventory, options.words().front()));
  cri::ExecSyncRequest request;
  request.set_container_id(container->id());
  for (std::size_t i = 1; i < options.words().size(); ++i) request.add_cmd(options.words()[i]);
  std::chrono::seconds extra = std::chrono::hours{24 * 365};  // without a limit the command may take its time
  if (const auto given = options.value("time-limit")) {
    const auto seconds = TRY(parse_seconds(*given).during("--time-limit"));
    request.set_timeout(seconds);
    if (seconds > 0) extra = std::chrono::seconds{seconds};
  }
  const auto response = TRY(daemon.call(&cri::RuntimeService::Stub::ExecSync, request, "exec", extra));
  TRY(sys::write_all(STDOUT_FILENO, response.stdout()));
  TRY(sys::write_all(STDERR_FILENO, response.stderr()));
  return response.exit_code();
}

}  // namespace husk::pod
