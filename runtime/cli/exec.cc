#include "exec.h"

#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/text.h"
#include "cli/create_options.h"

namespace husk::cli {
namespace {

constexpr std::array kOptions{Option{'p', "process", "FILE", "JSON file with the process, instead of a command and the flags for it"},
                              Option{'e', "env", "NAME=VALUE", "set a variable; may be repeated"},
                              Option{'u', "user", "UID[:GID]", "run as this user"},
                              Option{'t', "tty", "", "give the process a terminal"},
                              Option{0, "cwd", "DIR", "working directory inside"},
                              Option{'d', "detach", "", "do not wait for the end of the process"},
                              kPidFileOption,
                              kConsoleSocketOption,
                              kPidfdSocketOption,
                              kPreserveFdsOption,
                              Option{0, "no-new-privs", "", "set no_new_privs"},
                              Option{'c', "cap", "NAME", "add a capability; may be repeated"},
                              Option{'g', "additional-gids", "GID", "add a group; may be repeated"},
                              Option{0, "ignore-paused", "", "allow it in a paused container"},
                              Option{0, "cgroup", "PATH", "run in this cgroup below the container's; v1: also CONTROLLER,…:PATH"},
                              Option{0, "apparmor", "PROFILE", "AppArmor profile of the process"},
                              Option{0, "process-label", "LABEL", "SELinux label of the process"},
                              kHelpOption};

Result<std::vector<std::uint32_t>> parse_gids(const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> gids;
  for (const auto& text : texts) {
    const auto gid = parse_uint32(text);
    if (!gid.has_value()) return Error{Kind::invalid, format_text("--additional-gids {}: must be a number", quote(text))};
    gids.push_back(gid.value());
  }
  return gids;
}

// The file says all of this; a flag beside it would be dropped in silence.
Status refuse_beside_process(const Parsed& parsed) {
  if (!parsed.has("process")) return ok();
  for (const auto* name : {"env", "user", "cwd", "cap", "additional-gids", "apparmor", "process-label"})
    if (parsed.has(name))
      return Error{Kind::invalid, format_text("--{} and --process exclude each other", name)}.hint("put it into the file");
  if (parsed.positional().size() > 1)
    return Error{Kind::invalid, "a command and --process exclude each other"}.hint("put it into \"args\" of the file");
  return ok();
}

Result<runtime::ExecOptions> make_options(const Parsed& parsed) {
  const auto id = TRY(parsed.id_at(0));
  runtime::ExecOptions options{.id = id};
  options.process_file = parsed.text("process");
  options.args.assign(parsed.positional().begin() + 1, parsed.positional().end());
  if (options.args.empty() && options.process_file.empty())
    return Error{Kind::invalid, "exec requires an argument: the command, or --process FILE"};
  options.env = parsed.all("env");
  options.user = parsed.text("user");
  options.cwd = parsed.text("cwd");
  options.terminal = parsed.has("tty");
  options.detach = parsed.has("detach");
  options.pid_file = parsed.text("pid-file");
  options.console_socket = parsed.text("console-socket");
  options.pidfd_socket = parsed.text("pidfd-socket");
  options.preserve_fds = TRY(parsed.number("preserve-fds", 0));
  options.no_new_privileges = parsed.has("no-new-privs");
  options.caps = parsed.all("cap");
  options.additional_gids = TRY(parse_gids(parsed.all("additional-gids")));
  options.ignore_paused = parsed.has("ignore-paused");
  options.apparmor_profile = parsed.text("apparmor");
  options.selinux_label = parsed.text("process-label");
  options.cgroups = TRY(runtime::parse_cgroups(parsed.all("cgroup")));
  if (parsed.has("user") && options.user.empty()) return runtime::parse_user("").error();
  return options;
}

Result<int> run_exec(const Globals& globals, const Parsed& parsed) {
  TRY(refuse_beside_process(parsed));
  const auto options = TRY(make_options(parsed));
  return runtime::exec_in_container(runtime::StateStore{globals.root}, options);
}

}  // namespace

const Verb kExecVerb{.name = "exec",
                     .arguments = "ID COMMAND [ARGUMENT…]",
                     .summary = "run another process in a container",
                     .options = kOptions,
                     .run = run_exec,
                     .keeps_descriptors = true,
                     .takes_command = true};

}  // namespace husk::cli
