#include "base/text.h"
#include "cri/client/commands.h"
#include "cri/client/follow.h"
#include "cri/client/inventory.h"

namespace husk::pod {

Result<int> run_logs(Daemon& daemon, const Options& options) {
  const auto inventory = TRY(read_inventory(daemon));
  const auto* container = TRY(find_container(inventory, options.words().front()));
  if (options.has("path")) {
    const auto status = TRY(read_status(daemon, container->id()));
    TRY(print(status.log_path() + "\n"));
    return 0;
  }
  FollowOptions follow;
  follow.follow = options.has("follow");
  follow.timestamps = options.has("timestamps");
  if (const auto tail = options.value("tail")) follow.tail = TRY(parse_uint32(*tail).during("--tail"));
  TRY(print_log(daemon, container->id(), follow));
  return 0;
}

}  // namespace husk::pod
