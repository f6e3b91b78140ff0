// husk: an OCI container runtime. The composition root: globals, the table of verbs, the one place
// where an error is printed.
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

#include "base/format.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "cli/create_options.h"
#include "cli/criu_options.h"
#include "cli/verb.h"
#include "fault.h"
#include "oci-spec/runtime_spec.h"
#include "rootless.h"
#include "self_protect.h"

namespace husk::cli {

Status print(std::string_view text) { return sys::write_all(STDOUT_FILENO, text).during("write to standard output"); }

namespace {

constexpr std::array kVerbs{&kCreateVerb, &kStartVerb, &kStateVerb,  &kKillVerb,   &kDeleteVerb, &kRunVerb,     &kExecVerb,
                            &kListVerb,   &kPsVerb,    &kPauseVerb, &kResumeVerb, &kUpdateVerb, &kMountsVerb, &kWaitVerb,   &kEventsVerb,
                            &kGcVerb,     &kSpecVerb,   &kFeaturesVerb, &kCheckpointVerb, &kRestoreVerb};

constexpr std::array kGlobals{
    Option{0, "root", "DIR", "where the state of containers is kept (default /run/husk)"},
    Option{0, "log", "TARGET", "where errors go too: FILE, file:FILE, journald:ID or syslog:ID; to a file all messages with --log-level"},
    Option{0, "log-format", "FORMAT", "text (default) or json"},
    Option{0, "log-level", "LEVEL", "debug, info, warning (default) or error"},
    Option{0, "debug", "", "same as --log-level debug"},
    Option{0, "systemd-cgroup", "", "same as --cgroup-manager systemd"},
    Option{0, "cgroup-manager", "NAME", "cgroupfs (default), systemd or disabled"},
    Option{0, "rootless", "BOOL", "true, false or auto (default): whether the rights of the host's root are missing"},
    Option{'v', "version", "", "show the version, as -V does"},
    kHelpOption};

std::string help_text() {
  std::string text = "usage: husk [OPTION…] VERB [ARGUMENT…]\n\nverbs:\n";
  for (const auto* verb : kVerbs) text += format_text("  {:<28} {}\n", verb->name, verb->summary);
  text += format_text("  {:<28} {}\n", "image …", "run husk-image: images and bundles");
  text += format_text("  {:<28} {}\n", "pod …", "run husk-pod: pods of huskd");
  return text + "\noptions:\n" + options_help(kGlobals);
}

std::string verb_help(const Verb& verb) {
  return format_text("usage: husk {} [OPTION…]{}{}\n\n{}\n\noptions:\n{}", verb.name, verb.arguments.empty() ? "" : " ",
                     verb.arguments, verb.summary, options_help(verb.options));
}

// Docker Engine shows what stands after "commit:"; as in Debian's runc that is the version again.
std::string version_text() {
  return format_text("husk version {0}\ncommit: {0}\nspec: {1}\n", HUSK_VERSION, oci::kSpecVersion);
}

Result<cgroups::Driver> parse_driver(const Parsed& parsed) {
  const auto name = parsed.text("cgroup-manager");
  if (name == "systemd" || (name.empty() && parsed.has("systemd-cgroup"))) return cgroups::Driver::systemd;
  if (name == "cgroupfs" || name.empty()) return cgroups::Driver::cgroupfs;
  if (name == "disabled") return cgroups::Driver::disabled;
  return Error{Kind::invalid, format_text("unknown --cgroup-manager {}", quote(name))}.hint(
      "use cgroupfs, systemd or disabled");
}

Status set_rootless(const std::string& value) {
  if (value.empty() || value == "auto") return ok();
  if (value != "true" && value != "false")
    return Error{Kind::invalid, format_text("--rootless {}: is neither true, false nor auto", quote(value))};
  runtime::force_rootless(value == "true");
  return ok();
}

Result<Globals> parse_globals(const Parsed& parsed) {
  TRY(set_rootless(parsed.text("rootless")));
  Globals globals{.root = parsed.has("root") ? parsed.text("root") : runtime::default_state_root()};
  if (!globals.root.starts_with('/'))
    globals.root = format_text("{}/{}", TRY(sys::getcwd()), globals.root);
  if (globals.root.find_first_not_of('/') == std::string::npos)
    return Error{Kind::invalid, "--root must not be the root directory"};
  globals.driver = TRY(parse_driver(parsed));
  return globals;
}

// "PATH", "file:PATH", "journald:ID" or "syslog:ID".
Status set_log_target(log::Options& options, const std::string& target) {
  const auto colon = target.find(':');
  const auto kind = target.substr(0, colon == std::string::npos ? 0 : colon);
  if (kind != "journald" && kind != "syslog") {
    options.file = target.substr(kind == "file" ? colon + 1 : 0);
    return ok();
  }
  auto& id = kind == "journald" ? options.journal_id : options.syslog_id;
  id = target.substr(colon + 1);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!id.empty() && std::none_of(id.begin(), id.end(), is_control)) return ok();
  id.clear();
  return Error{Kind::invalid, format_text("--log {}: needs an id without control characters", quote(target))}.hint(
      format_text("write {}:ID", kind));
}

Status open_log(const Parsed& parsed) {
  log::Options options;
  TRY(set_log_target(options, parsed.text("log")));
  const auto form = parsed.text("log-format");
  if (!form.empty() && form != "text" && form != "json")
    return Error{Kind::invalid, format_text("unknown --log-format {}", quote(form))}.hint("use text or json");
  options.form = form == "json" ? log::Form::json : log::Form::text;
  if (parsed.has("log-level")) options.lowest = TRY(log::parse_level(parsed.text("log-level")));
  if (parsed.has("debug")) options.lowest = log::Level::debug;
  // podman reads the whole file as one JSON object: a warning before the error would cost it both.
  if (!parsed.has("log-level") && !parsed.has("debug")) options.lowest_in_file = log::Level::error;
  return log::open(options);
}

// husk-image and husk-pod stand beside husk.
Result<int> run_sibling(const std::string& name, const Arguments& arguments) {
  std::vector<std::string> items{name};
  items.insert(items.end(), arguments.begin(), arguments.end());
  const auto path = TRY(sibling_program(name));
  const ArgBlock argv{std::move(items)};
  const ArgBlock envp{current_environment()};
  const auto failed = sys::execve(path, argv.get(), envp.get());
  return failed.error();
}

Status keep_status_fd(int fd) {
  if (fd > STDERR_FILENO) TRY(sys::set_cloexec(fd, true).during("--status-fd"));
  return close_all_but(STDERR_FILENO + 1, {fd});
}

// Only what the caller hands over on purpose stays open (CVE-2024-21626); it reaches the program
// and no hook.
Status close_stray_descriptors(const Verb& verb, const Parsed& parsed) {
  if (parsed.has("status-fd")) return keep_status_fd(TRY(parsed.number("status-fd", 0)));
  int kept = 0;
  if (verb.keeps_descriptors) {
    const int preserved = TRY(parsed.number("preserve-fds", 0));
    kept = preserved + (verb.takes_command ? 0 : announced_fds());
  }
  for (int i = 0; i < kept; ++i)
    TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, true).during("--preserve-fds").hint("the caller must hand over that many"));
  return sys::close_range(static_cast<unsigned>(STDERR_FILENO + 1 + kept), ~0U, 0);
}

Result<int> run_verb(const Verb& verb, const Globals& globals, const Parsed& parsed) {
  if (parsed.wants_help()) {
    TRY(print(verb_help(verb)));
    return 0;
  }
  return verb.run(globals, parsed);
}

struct Command {
  std::string name;  // for errors: "create web-1"
  Result<int> result;
};

Error refuse_verb(const Parsed& globals) {
  const auto logging = open_log(globals);
  if (!logging.has_value()) return logging.error();
  return Error{Kind::invalid, "unknown verb"}.hint("husk --help lists them");
}

// "create web-1", "mounts add web-1".
std::string label_of(const Verb& verb, const std::vector<std::string>& positional) {
  std::string label{verb.name};
  const std::size_t shown = &verb == &kMountsVerb ? 2 : 1;
  for (std::size_t i = 0; i < std::min(shown, positional.size()); ++i) label += " " + positional[i].substr(0, 255);
  return label;
}

Command dispatch(const Parsed& globals_parsed, const std::string& name, const Arguments& rest) {
  if (name == "image" || name == "pod") return {name, run_sibling("husk-" + name, rest)};
  const auto verb = std::find_if(kVerbs.begin(), kVerbs.end(), [&](const Verb* item) { return item->name == name; });
  if (verb == kVerbs.end()) return {name, refuse_verb(globals_parsed)};
  const auto parsed = parse_options((*verb)->options, rest, (*verb)->takes_command, kGlobals);
  const auto closed = parsed.has_value() ? close_stray_descriptors(**verb, parsed.value()) : ok();
  // The log after the strays are closed, and before any error: it must hold that error.
  const auto logging = open_log(globals_parsed);
  if (!parsed.has_value()) return {name, parsed.error()};
  const auto label = label_of(**verb, parsed.value().positional());
  if (!closed.has_value()) return {label, closed.error()};
  if (!logging.has_value()) return {label, logging.error()};
  const auto globals = parse_globals(globals_parsed);
  if (!globals.has_value()) return {label, globals.error()};
  return {label, run_verb(**verb, globals.value(), parsed.value())};
}

int report(const std::string& name, const Error& error) {
  log::error(name.empty() ? error.to_string() : format_text("{}: {}", name, error.to_string()));
  return 1;
}

int run(const Arguments& arguments) {
  const auto at_home = runtime::refuse_foreign_root();
  if (!at_home.has_value()) return report("", at_home.error());
  const auto at = find_first_positional(kGlobals, arguments);
  const auto middle = arguments.begin() + static_cast<std::ptrdiff_t>(at);
  Arguments before{arguments.begin(), middle};
  std::replace(before.begin(), before.end(), std::string{"-V"}, std::string{"-v"});  // crun's and youki's letter
  const auto globals = parse_options(kGlobals, before);
  if (!globals.has_value()) return report("", globals.error());
  if (globals.value().wants_help() || globals.value().has("version")) {
    const auto printed = print(globals.value().wants_help() ? help_text() : version_text());
    return printed.has_value() ? 0 : report("", printed.error());
  }
  // As runc does: no verb, or "help", is no error.
  if (at == arguments.size() || (*middle == "help" && middle + 1 == arguments.end())) {
    const auto printed = print(help_text());
    return printed.has_value() ? 0 : report("", printed.error());
  }
  const bool wants_verb_help = *middle == "help" && middle + 2 == arguments.end();
  const auto command = wants_verb_help ? dispatch(globals.value(), middle[1], {"--help"})
                                       : dispatch(globals.value(), *middle, Arguments{middle + 1, arguments.end()});
  if (!command.result.has_value()) return report(command.name, command.result.error());
  return command.result.value();
}

}  // namespace
}  // namespace husk::cli

int main(int argc, char** argv) {
  std::set_new_handler([] {
    static constexpr std::string_view kText = "husk: out of memory\n";
    (void)!::write(STDERR_FILENO, kText.data(), kText.size());
    ::_exit(1);
  });
  // One growth of the heap for a whole run, and none given back: each is a system call, and so is its end.
  (void)::mallopt(M_TOP_PAD, 1 << 20);
  (void)::mallopt(M_TRIM_THRESHOLD, 64 << 20);
  // Nothing of ours may be read by a process of a container we are about to enter (CVE-2016-9962).
  (void)husk::sys::set_dumpable(false);
  // A caller that ignores it hands that on, and the kernel then reaps our children before we do. Source: man 2 wait.
  (void)::signal(SIGCHLD, SIG_DFL);
  husk::runtime::load_faults();
  return husk::cli::run({argv + 1, argv + argc});
}
