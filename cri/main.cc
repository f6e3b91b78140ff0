// huskd: the composition root. Builds every object, in the order in which they need each other.
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>

#include <cstdio>
#include <optional>

#include <cxxopts.hpp>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/pause_rootfs.h"
#include "cri/restart.h"
#include "cri/server.h"

namespace husk::cri {
namespace {

constexpr const char* kDefaultConfig = "/etc/husk/huskd.toml";

struct Options {
  Config config;
  bool only_text = false;  // --help, --version
};

Result<Config> load_config(const std::optional<std::string>& named) {
  auto config = read_config(named.value_or(kDefaultConfig));
  if (!config.has_value() && config.error().kind() == Kind::not_found && !named.has_value()) return Config{};
  return config;
}

Result<Options> parse_options(int argc, char** argv) {
  cxxopts::Options spec{"huskd", "the container daemon of Husk: Kubernetes CRI on a unix socket"};
  spec.add_options()("config", format_text("configuration file (default {})", kDefaultConfig), cxxopts::value<std::string>())
      ("root", "what must survive a reboot (default /var/lib/husk)", cxxopts::value<std::string>())
      ("state", "what need not (default /run/husk)", cxxopts::value<std::string>())
      ("listen", "socket (default unix:///run/husk/huskd.sock)", cxxopts::value<std::string>())
      ("log-level", "debug, info, warning or error", cxxopts::value<std::string>())
      ("version", "print the version")("help", "print this text");
  try {
    const auto parsed = spec.parse(argc, argv);
    if (!parsed.unmatched().empty())
      return Error{Kind::invalid, format_text("unexpected argument {}", quote(parsed.unmatched().front()))};
    if (parsed.count("help") != 0) {
      std::fputs(spec.help().c_str(), stdout);
      return Options{.config = {}, .only_text = true};
    }
    if (parsed.count("version") != 0) {
      std::printf("huskd %s\n", HUSK_VERSION);
      return Options{.config = {}, .only_text = true};
    }
    const auto text = [&](const char* name) {
      return parsed.count(name) != 0 ? std::optional{parsed[name].as<std::string>()} : std::nullopt;
    };
    Options options{.config = TRY(load_config(text("config")))};
    options.config.root = text("root").value_or(options.config.root);
    options.config.state = text("state").value_or(options.config.state);
    options.config.listen = text("listen").value_or(options.config.listen);
    if (const auto level = text("log-level"); level.has_value()) options.config.log_level = TRY(log::parse_level(*level));
    TRY(check_config(options.config));
    return options;
  } catch (const cxxopts::exceptions::exception& error) {
    return Error{Kind::invalid, error.what()}.hint("huskd --help lists the options");
  }
}

// Held as long as huskd lives; a second one on the same directory would undo the first one's work.
Result<UniqueFd> lock_directory(const std::string& directory) {
  TRY(make_directories(directory, 0711));
  auto lock = TRY(sys::openat(AT_FDCWD, directory + "/huskd.lock", O_RDWR | O_CREAT, 0600));
  const auto taken = sys::flock(lock.get(), LOCK_EX | LOCK_NB);
  if (!taken.has_value() && taken.error().kind() == Kind::busy)
    return Error{Kind::busy, format_text("another huskd uses {}", quote(directory))};
  TRY(taken);
  return lock;
}

Result<std::string> program(const std::string& configured, const char* name) {
  if (configured.empty()) return sibling_program(name);
  TRY(sys::access(configured, X_OK));
  return configured;
}

Result<HostFacts> make_facts(const Config& config) {
  auto facts = read_host_facts();
  facts.systemd_cgroup = config.runtime.cgroup_driver == "systemd";
  facts.scope_prefix = config.runtime.scope_prefix;
  facts.pids_limit = config.runtime.pids_limit;
  facts.rlimits = config.runtime.rlimits;
  if (!config.runtime.capabilities.empty()) {
    facts.capabilities.defaults.clear();
    for (const auto& name : config.runtime.capabilities)
      facts.capabilities.defaults.push_back(capability_name(name).value_or(name));
  }
  if (!config.runtime.seccomp_profile.empty()) {
    const auto text = TRY(read_file(config.runtime.seccomp_profile).during("runtime.seccomp_profile"));
    facts.seccomp_profile = TRY(parse_seccomp_profile(text, config.runtime.seccomp_profile));
  }
  if (facts.lowest_oom_score_adj > -998)
    log::warning(format_text("no CAP_SYS_RESOURCE: OOM scores stay at {} or above", facts.lowest_oom_score_adj));
  return facts;
}

Status serve(const Config& config, int signals) {
  const auto root_lock = TRY(lock_directory(config.root));
  const auto state_lock = TRY(lock_directory(config.state));
  const auto husk = TRY(program(config.runtime.husk, "husk"));
  const auto monitor = TRY(program(config.runtime.monitor, "husk-monitor"));
  const auto pause = TRY(program(config.runtime.pause, "pause"));
  const auto runtime_root = config.state + "/runtime";
  const auto facts = TRY(make_facts(config));
  const auto images = TRY(images::open({.root = config.root,
                                        .registries_conf = config.images.registries_conf,
                                        .registries_conf_dir = config.images.registries_conf_dir,
                                        .certs_dirs = config.images.certs_dirs})
                              .during("open the image store"));
  const auto network = TRY(netns::make_bridge_network({.bridge = config.network.bridge,
                                                       .subnet = config.network.subnet,
                                                       .state_dir = config.root + "/network",
                                                       .table = config.network.table})
                               .during("prepare the pod network"));
  const auto pods = TRY(PodStore::open(config.root + "/records/pods", "pod", decode_pod_record));
  const auto containers = TRY(ContainerStore::open(config.root + "/records/containers", "container", decode_container_record));
  const auto host = make_host({.husk = husk, .runtime_root = runtime_root});
  const auto pause_rootfs = TRY(prepare_pause_rootfs(config.root + "/pause", pause));
  const auto hub = TRY(MonitorHub::create({.monitor = monitor, .husk = husk, .runtime_root = runtime_root}));
  TRY(make_directories(config.state + "/pods", 0711));
  TRY(make_directories(config.state + "/netns", 0711));

  Node node{.config = config, .facts = facts, .pods = *pods, .containers = *containers, .images = *images,
            .network = *network, .host = *host, .monitors = *hub, .pause_rootfs = pause_rootfs};
  ExitWatch watch{node};
  hub->set_listener(&watch);
  ContainerService container_service{node};
  PodService pod_service{node, container_service};
  TRY(reconcile(node).during("bring the records up to date"));

  RuntimeService runtime{node, pod_service, container_service};
  ImageService image_service{*images, config};
  const auto server = TRY(start_server(config, runtime, image_service));
  log::info(format_text("huskd {} listens on {}", HUSK_VERSION, config.listen));
  std::vector<sys::PollEntry> entries{{.fd = signals, .events = POLLIN}};
  TRY(sys::poll(entries, -1));
  signalfd_siginfo received{};
  TRY(sys::read_some(signals, {reinterpret_cast<char*>(&received), sizeof received}));
  log::info(format_text("signal {}: huskd leaves, pods stay", received.ssi_signo));
  // Calls that take long (stop, exec, pull) are cut off; their work in the monitors goes on.
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds{2});
  server->Wait();
  hub->set_listener(nullptr);
  // With the last pod the host gets its network back as it was.
  return network->remove_when_unused();
}

int run_main(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options.has_value()) {
    std::fprintf(stderr, "huskd: %s\n", options.error().to_string().c_str());
    return 1;
  }
  if (options.value().only_text) return 0;
  const auto& config = options.value().config;
  const auto opened = log::open({.program = "huskd", .lowest = config.log_level, .form = config.log_form, .file = config.log_file});
  if (!opened.has_value()) {
    std::fprintf(stderr, "huskd: %s\n", opened.error().to_string().c_str());
    return 1;
  }
  (void)sys::umask(0022);
  (void)::signal(SIGPIPE, SIG_IGN);  // a client that went away is an error of its call
  // Before the first thread: all inherit the mask, so that only the descriptor sees the signals.
  const auto signals = sys::signalfd({SIGTERM, SIGINT});
  const auto done = signals.has_value() ? serve(config, signals.value().get()) : Status{signals.error()};
  if (done.has_value()) return 0;
  log::error(done.error().to_string());
  return 1;
}

}  // namespace
}  // namespace husk::cri

int main(int argc, char** argv) { return husk::cri::run_main(argc, argv); }
