#include "checkpoint.h"

#include <array>

#include "cli/criu_options.h"
#include "cli/verb.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kImagePathOption,
                              kWorkPathOption,
                              Option{0, "leave-running", "", "let the container run on"},
                              kTcpEstablishedOption,
                              Option{0, "tcp-skip-in-flight", "", "leave out connections that are not accepted yet"},
                              kExtUnixSkOption,
                              kShellJobOption,
                              kFileLocksOption,
                              Option{0, "link-remap", "", "save files that are open and deleted but have another name"},
                              kCgroupsModeOption,
                              Option{0, "pre-dump", "", "save the memory only, for a later checkpoint; the container runs on"},
                              Option{0, "parent-path", "DIR", "image of the pre-dump before, relative to --image-path"},
                              kNetworkLockOption,
                              Option{0, "lazy-pages", "", "keep the memory back and serve it to a restore elsewhere"},
                              Option{0, "status-fd", "N", "write a zero byte there when the page server is ready"},
                              Option{0, "page-server", "ADDRESS:PORT", "send the memory to this page server"},
                              kEmptyNsOption,
                              Option{0, "auto-dedup", "", "remove memory from parent images that is saved again"},
                              kHelpOption};

Status take_own_options(const Parsed& parsed, criu::Request& request) {
  request.leave_running = parsed.has("leave-running");
  request.tcp_skip_in_flight = parsed.has("tcp-skip-in-flight");
  request.link_remap = parsed.has("link-remap");
  request.parent = parsed.text("parent-path");
  if (parsed.has("page-server")) TRY(set_page_server(parsed.text("page-server"), request));
  if (parsed.has("status-fd")) request.status_fd = TRY(parsed.number("status-fd", -1));
  return ok();
}

Result<int> run_checkpoint(const Globals& globals, const Parsed& parsed) {
  const auto id = TRY(parsed.only_id());
  runtime::CheckpointOptions options{.id = id, .common = {}};
  options.common = TRY(parse_criu_options(parsed));
  options.pre_dump = parsed.has("pre-dump");
  TRY(take_own_options(parsed, options.common.criu));
  TRY(runtime::checkpoint_container(runtime::StateStore{globals.root}, options));
  return 0;
}

}  // namespace

const Verb kCheckpointVerb{.name = "checkpoint",
                           .arguments = "ID",
                           .summary = "save a running container to a directory and end it",
                           .options = kOptions,
                           .run = run_checkpoint};

}  // namespace husk::cli
