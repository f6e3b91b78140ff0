// The process of a container: arguments, environment, user, capabilities, and STOPSIGNAL texts.
#include <signal.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "cri/make_spec.h"

namespace husk::cri {
namespace {

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Later entries replace earlier ones of the same name, in place.
class Environment {
 public:
  void set(const std::string& item) {
    const auto name = item.substr(0, item.find('='));
    for (auto& old : items_) {
      if (old.substr(0, old.find('=')) != name) continue;
      old = item;
      return;
    }
    items_.push_back(item);
  }
  std::vector<std::string> take() { return std::move(items_); }

 private:
  std::vector<std::string> items_;
};

Result<std::vector<std::string>> plan_arguments(const ContainerConfig& config, const images::ImageConfig& image) {
  auto arguments = config.command;
  if (arguments.empty()) arguments = image.entrypoint;
  const bool use_image_cmd = config.command.empty() && config.args.empty();
  const auto& rest = use_image_cmd ? image.cmd : config.args;
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  if (arguments.empty() || arguments.front().empty())
    return Error{Kind::invalid, "neither the request nor the image names a command"}.hint(
        "give the container a command, or the image an ENTRYPOINT or CMD");
  return arguments;
}

std::vector<std::string> plan_environment(const ContainerInput& input) {
  Environment environment;
  environment.set(kDefaultPath);
  environment.set("HOSTNAME=" + input.pod.hostname);
  if (input.config.tty) environment.set("TERM=xterm");
  environment.set("HOME=" + input.user.home);
  for (const auto& item : input.image.env) environment.set(item);
  for (const auto& item : input.config.env) environment.set(item);
  return environment.take();
}

// "user:role:type:level"; what is not given keeps the usual parts of a container's label.
std::string selinux_label(const SelinuxOptions& options) {
  if (options.empty()) return {};
  const auto part = [](const std::string& given, const char* otherwise) { return given.empty() ? otherwise : given; };
  return part(options.user, "system_u") + ":" + part(options.role, "system_r") + ":" +
         part(options.type, "container_t") + ":" + part(options.level, "s0");
}

struct SignalName {
  std::string_view name;
  int number;
};
constexpr std::array kSignals{
    SignalName{"HUP", SIGHUP},   SignalName{"INT", SIGINT},       SignalName{"QUIT", SIGQUIT}, SignalName{"ILL", SIGILL},
    SignalName{"TRAP", SIGTRAP}, SignalName{"ABRT", SIGABRT},     SignalName{"IOT", SIGABRT},  SignalName{"BUS", SIGBUS},
    SignalName{"FPE", SIGFPE},   SignalName{"KILL", SIGKILL},     SignalName{"USR1", SIGUSR1}, SignalName{"SEGV", SIGSEGV},
    SignalName{"USR2", SIGUSR2}, SignalName{"PIPE", SIGPIPE},     SignalName{"ALRM", SIGALRM}, SignalName{"TERM", SIGTERM},
    SignalName{"STKFLT", 16},    SignalName{"CHLD", SIGCHLD},     SignalName{"CLD", SIGCHLD},  SignalName{"CONT", SIGCONT},
    SignalName{"STOP", SIGSTOP}, SignalName{"TSTP", SIGTSTP},     SignalName{"TTIN", SIGTTIN}, SignalName{"TTOU", SIGTTOU},
    SignalName{"URG", SIGURG},   SignalName{"XCPU", SIGXCPU},     SignalName{"XFSZ", SIGXFSZ}, SignalName{"VTALRM", SIGVTALRM},
    SignalName{"PROF", SIGPROF}, SignalName{"WINCH", SIGWINCH},   SignalName{"IO", SIGIO},     SignalName{"POLL", SIGIO},
    SignalName{"PWR", SIGPWR},   SignalName{"SYS", SIGSYS},
};
// What glibc leaves to programs; the same numbers in every container.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

}  // namespace

Result<int> parse_signal(std::string_view text) {
  const Error unknown{Kind::invalid, format_text("{} is not a signal", quote(text))};
  if (const auto number = parse_uint32(text); number.has_value()) {
    if (number.value() < 1 || number.value() > kRtMax) return Error{unknown};
    return static_cast<int>(number.value());
  }
  std::string name{text};
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const auto& row : kSignals)
    if (row.name == name) return row.number;
  if (name == "RTMIN") return kRtMin;
  if (name == "RTMAX") return kRtMax;
  const bool from_min = name.starts_with("RTMIN+");
  if (!from_min && !name.starts_with("RTMAX-")) return Error{unknown};
  const auto offset = parse_uint32(std::string_view{name}.substr(6));
  if (!offset.has_value() || offset.value() > kRtMax - kRtMin) return Error{unknown};
  return from_min ? kRtMin + static_cast<int>(offset.value()) : kRtMax - static_cast<int>(offset.value());
}

Result<oci::Process> plan_process(const ContainerInput& input, const HostFacts& host) {
  const auto& config = input.config;
  oci::Process process;
  process.terminal = config.tty;
  process.user.uid = input.user.ids.uid;
  process.user.gid = input.user.ids.gid;
  process.user.additional_gids = input.user.ids.groups;
  process.args = TRY(plan_arguments(config, input.image));
  process.env = plan_environment(input);
  process.cwd = config.working_dir.empty() ? input.image.working_dir : config.working_dir;
  if (process.cwd.empty()) process.cwd = "/";
  if (!process.cwd.starts_with('/')) process.cwd.insert(0, "/");
  process.capabilities = TRY(plan_capabilities(host.capabilities, config.capabilities, config.privileged));
  process.rlimits = host.rlimits;
  process.no_new_privileges = config.no_new_privileges;
  const auto wanted = std::clamp<std::int64_t>(config.resources.oom_score_adj, -1000, 1000);
  process.oom_score_adj = std::max(static_cast<int>(wanted), host.lowest_oom_score_adj);
  if (config.apparmor.has_value() && config.apparmor->type == ProfileType::localhost && !config.privileged)
    process.apparmor_profile = config.apparmor->localhost_ref;
  if (host.selinux) process.selinux_label = selinux_label(config.selinux);
  return process;
}

}  // namespace husk::cri
