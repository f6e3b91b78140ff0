#include <array>

#include "base/log.h"
#include "base/sys.h"
#include "checkpoint.h"
#include "cli/create_options.h"
#include "cli/criu_options.h"
#include "foreground.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{kBundleOption,
                              kImagePathOption,
                              kWorkPathOption,
                              kTcpEstablishedOption,
                              Option{0, "tcp-close", "", "close the TCP connections that were open"},
                              kExtUnixSkOption,
                              kShellJobOption,
                              kFileLocksOption,
                              kCgroupsModeOption,
                              Option{'d', "detach", "", "do not wait for the end of the container"},
                              kPidFileOption,
                              kConsoleSocketOption,
                              Option{0, "lsm-profile", "TYPE:NAME", "restore under apparmor:NAME or selinux:LABEL"},
                              Option{0, "lsm-mount-context", "CONTEXT", "restore with this label for mounts"},
                              kNetworkLockOption,
                              kNoSubreaperOption,
                              kNoPivotOption,
                              kEmptyNsOption,
                              Option{0, "auto-dedup", "", "remove memory from the image as it is restored: once only"},
                              Option{0, "lazy-pages", "", "fetch the memory when it is used, from criu lazy-pages"},
                              kHelpOption};

Result<int> run_restore(const Globals& globals, const Parsed& parsed) {
  runtime::RestoreOptions options{.create = TRY(make_create_options(globals, parsed)), .common = {}};
  options.common = TRY(parse_criu_options(parsed));
  const bool detach = parsed.has("detach");
  options.create.foreground = !detach && options.create.console_socket.empty();
  options.common.criu.tcp_close = parsed.has("tcp-close");
  options.common.criu.lsm_profile = parsed.text("lsm-profile");
  options.common.criu.lsm_mount_context = parsed.text("lsm-mount-context");
  const runtime::StateStore store{globals.root};
  std::optional<runtime::Foreground> foreground;
  if (!detach) foreground = TRY(runtime::Foreground::create(!parsed.has("no-subreaper")));
  auto created = TRY(runtime::restore_container(store, options));
  created.directory.unlock();
  if (!foreground.has_value()) return 0;
  const int status = TRY(foreground->wait(created.init.pid, created.init.pidfd, std::move(created.terminal)));
  TRY(runtime::remove_after_end(created));
  return status;
}

}  // namespace

const Verb kRestoreVerb{.name = "restore",
                        .arguments = "ID",
                        .summary = "start a container from what checkpoint saved",
                        .options = kOptions,
                        .run = run_restore};

}  // namespace husk::cli
