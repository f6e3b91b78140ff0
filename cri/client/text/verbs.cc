#include "cri/client/text/verbs.h"

#include <algorithm>
#include <array>

#include "base/format.h"

namespace husk::pod {
namespace {

constexpr std::array<OptionSpec, 4> kGlobal{{
    {"socket", 's', "ADDRESS", "huskd's socket (default $HUSK_SOCKET, else unix:///run/husk/huskd.sock)"},
    {"timeout", 0, "SECONDS", "give up a call after this time (default 120)"},
    {"help", 'h', "", "print help; after a verb: the verb's help"},
    {"version", 0, "", "print the version"},
}};
constexpr OptionSpec kJson{"json", 0, "", "print JSON"};
constexpr OptionSpec kHelp{"help", 'h', "", "print this help"};

constexpr std::array<OptionSpec, 27> kRun{{
    {"detach", 'd', "", "print the container's id and return; without it the output is followed to the end"},
    {"name", 'n', "NAME", "name of the pod and of the container (with --pod: of the container)"},
    {"pod", 0, "POD", "add the container to this pod instead of making one"},
    {"rm", 0, "", "remove the pod (with --pod: the container) when the command has ended"},
    {"publish", 'p', "[IP:]HOST:CONTAINER[/PROTO]", "publish a port of the pod; repeatable"},
    {"env", 'e', "NAME[=VALUE]", "set a variable; without a value it is taken from here; repeatable"},
    {"volume", 'v', "SOURCE:TARGET[:ro]", "mount a file or directory of the host; repeatable"},
    {"entrypoint", 0, "PROGRAM", "replace the image's entry point"},
    {"workdir", 'w', "DIR", "working directory"},
    {"user", 'u', "USER[:GROUP]", "a name, or numbers"},
    {"hostname", 0, "NAME", "host name of the pod (default: its name)"},
    {"network", 0, "MODE", "pod (default) or host"},
    {"pid", 0, "MODE", "process namespace: container (default), pod or host"},
    {"dns", 0, "ADDRESS", "name server (default: those of the host); repeatable"},
    {"sysctl", 0, "NAME=VALUE", "kernel parameter of the pod; repeatable"},
    {"memory", 'm', "SIZE", "memory limit: 64m, 1g"},
    {"cpus", 0, "NUMBER", "CPU limit: 0.5, 2"},
    {"cap-add", 0, "NAME", "add a capability; repeatable"},
    {"cap-drop", 0, "NAME", "drop a capability; repeatable"},
    {"privileged", 0, "", "all capabilities and devices, nothing masked"},
    {"read-only", 0, "", "read-only root file system"},
    {"no-new-privileges", 0, "", "set no_new_privs"},
    {"label", 'l', "NAME=VALUE", "label of the pod and the container; repeatable"},
    {"namespace", 0, "NAME", "namespace of the pod, as in Kubernetes (default \"default\")"},
    {"cgroup-parent", 0, "PATH", "cgroup that holds the pod's"},
    {"log-dir", 0, "DIR", "where the pod's log directory is made (default /var/log/husk/pods)"},
    kHelp,
}};
constexpr std::array<OptionSpec, 3> kPs{{{"all", 'a', "", "also what does not run any more"}, kJson, kHelp}};
constexpr std::array<OptionSpec, 2> kExec{{{"time-limit", 't', "SECONDS", "kill the command after this time"}, kHelp}};
constexpr std::array<OptionSpec, 5> kLogs{{{"follow", 'f', "", "go on until the container has ended"},
                                           {"timestamps", 't', "", "begin each line with its time"},
                                           {"tail", 'n', "LINES", "only the last lines"},
                                           {"path", 0, "", "print where the log is instead"},
                                           kHelp}};
constexpr std::array<OptionSpec, 2> kJsonOnly{{kJson, kHelp}};
constexpr std::array<OptionSpec, 2> kStop{{{"time", 't', "SECONDS", "time to end by itself before SIGKILL (default 10)"}, kHelp}};
constexpr std::array<OptionSpec, 3> kRm{{{"force", 'f', "", "end what runs"},
                                         {"all", 'a', "", "every pod that does not run; with --force every pod"},
                                         kHelp}};
constexpr std::array<OptionSpec, 2> kPull{{{"credentials", 0, "USER:PASSWORD", "for the registry"}, kHelp}};
constexpr std::array<OptionSpec, 1> kNone{{kHelp}};

constexpr std::array<VerbSpec, 11> kVerbs{{
    {"run", "IMAGE [COMMAND...]", "run a container in a new pod, or in one that exists", kRun, 1, kAllWords, 1},
    {"ps", "", "list pods and their containers", kPs, 0, 0},
    {"exec", "CONTAINER|POD COMMAND...", "run a command in a container", kExec, 2, kAllWords, 1},
    {"logs", "CONTAINER|POD", "print what a container wrote", kLogs, 1, 1},
    {"stats", "[CONTAINER|POD...]", "CPU, memory and disk use", kJsonOnly, 0},
    {"stop", "POD|CONTAINER...", "end pods or containers", kStop, 1},
    {"rm", "POD|CONTAINER...", "remove pods or containers, with their logs", kRm, 0},
    {"images", "", "list images", kJsonOnly, 0, 0},
    {"pull", "IMAGE...", "fetch images", kPull, 1},
    {"rmi", "IMAGE...", "remove images", kNone, 1},
    {"info", "", "what the daemon is and whether it is ready", kJsonOnly, 0, 0},
}};

}  // namespace

std::span<const VerbSpec> verb_specs() { return kVerbs; }
std::span<const OptionSpec> global_options() { return kGlobal; }

const VerbSpec* find_verb(std::string_view name) {
  for (const auto& verb : kVerbs)
    if (verb.name == name) return &verb;
  return nullptr;
}

Result<Options> parse_verb(const VerbSpec& verb, std::span<const std::string> arguments) {
  const auto hint = format_text("see husk-pod {} --help", verb.name);
  auto options = TRY(parse_options(arguments, verb.options, verb.words_before_rest).hint(hint));
  if (options.has("help")) return options;
  const auto count = options.words().size();
  if (count < verb.least_words)
    return Error{Kind::invalid, format_text("{} is missing", verb.words)}.hint(hint);
  if (count > verb.most_words)
    return Error{Kind::invalid, format_text("unexpected argument \"{}\"", options.words().at(verb.most_words))}.hint(hint);
  return options;
}

std::string program_help() {
  std::string out = "husk-pod: pods and containers of huskd, for people and tests\n\nusage: husk-pod [OPTION...] VERB ...\n\n";
  std::size_t width = 0;
  for (const auto& verb : kVerbs) width = std::max(width, verb.name.size() + 1 + verb.words.size());
  for (const auto& verb : kVerbs) {
    const auto left = format_text("{} {}", verb.name, verb.words);
    out += "  " + left + std::string(width + 2 - left.size(), ' ') + std::string{verb.summary} + "\n";
  }
  out += "\n" + options_help(kGlobal);
  out += "\nPods and containers are named by id, by a unique beginning of one, or by name. With run (without -d)\n"
         "and exec the exit code is the command's, or 125 when husk-pod itself failed.\n";
  return out;
}

std::string verb_help(const VerbSpec& verb) {
  return format_text("husk-pod {}: {}\n\nusage: husk-pod {} [OPTION...] {}\n\n{}", verb.name, verb.summary, verb.name,
                     verb.words, options_help(verb.options));
}

}  // namespace husk::pod
