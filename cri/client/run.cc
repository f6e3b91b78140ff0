#include <signal.h>
#include <sys/signalfd.h>

#include <array>

#include "base/format.h"
#include "base/log.h"
#include "base/rollback.h"
#include "base/sys.h"
#include "base/text.h"
#include "cri/client/commands.h"
#include "cri/client/follow.h"
#include "cri/client/inventory.h"
#include "cri/client/make_config.h"

namespace husk::pod {
namespace {

constexpr std::int64_t kGrace_s = 10;
constexpr std::size_t kShortId = 13;

struct Place {
  std::string pod_id;
  cri::PodSandboxConfig config;
  bool made = false;  // by us
};

// The protocol allows pods of one name, told apart by uid; a person who names one means one.
Status check_name_is_free(Daemon& daemon, const cri::PodSandboxMetadata& wanted) {
  const auto inventory = TRY(read_inventory(daemon));
  for (const auto& pod : inventory.pods) {
    const auto& has = pod.metadata();
    if (has.name() != wanted.name() || has.namespace_() != wanted.namespace_()) continue;
    return Error{Kind::exists, format_text("a pod {} is there: {}", quote(has.name()), pod.id().substr(0, kShortId))}.hint(
        format_text("husk pod rm --force {0}; or add to it with --pod {0}, or choose another --name", has.name()));
  }
  return ok();
}

Result<Place> make_pod(Daemon& daemon, const Options& options) {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = TRY(make_pod_config(options));
  if (options.has("name")) TRY(check_name_is_free(daemon, request.config().metadata()));
  const auto response = TRY(daemon.call(&cri::RuntimeService::Stub::RunPodSandbox, request, "run pod"));
  return Place{.pod_id = response.pod_sandbox_id(), .config = request.config(), .made = true};
}

Result<Place> join_pod(Daemon& daemon, const std::string& word) {
  const auto inventory = TRY(read_inventory(daemon));
  const auto* pod = TRY(find_pod(inventory, word));
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod->id());
  const auto response = TRY(daemon.call(&cri::RuntimeService::Stub::PodSandboxStatus, request, "pod status"));
  return Place{.pod_id = pod->id(), .config = config_of(response.status())};
}

void remove_made_pod(Daemon& daemon, const Place& place) {
  cri::PodSandbox pod;
  pod.set_id(place.pod_id);
  pod.set_state(cri::SANDBOX_READY);
  *pod.mutable_metadata() = place.config.metadata();
  *pod.mutable_annotations() = place.config.annotations();
  const auto removed = remove_pod(daemon, pod);
  if (!removed.has_value()) log::warning(removed.error().to_string());
}

// An image that is not there is fetched, once.
Result<std::string> create_container(Daemon& daemon, const cri::CreateContainerRequest& request) {
  auto created = daemon.call(&cri::RuntimeService::Stub::CreateContainer, request, "create container");
  if (!created.has_value() && created.error().kind() == Kind::not_found) {
    const auto& image = request.config().image().image();
    cri::ImageStatusRequest status;
    status.mutable_image()->set_image(image);
    const auto known = TRY(daemon.call(&cri::ImageService::Stub::ImageStatus, status, "image status"));
    if (known.has_image()) return std::move(created).error();
    log::write(log::Level::warning, format_text("image {} is not here: pulling it", quote(image)));
    TRY(pull_image(daemon, image, "", false));
    created = daemon.call(&cri::RuntimeService::Stub::CreateContainer, request, "create container");
  }
  if (!created.has_value()) return std::move(created).error();
  return created.value().container_id();
}

Status start_container(Daemon& daemon, const std::string& id) {
  cri::StartContainerRequest request;
  request.set_container_id(id);
  TRY(daemon.call(&cri::RuntimeService::Stub::StartContainer, request, "start container"));
  return ok();
}

void remove_made_container(Daemon& daemon, const std::string& id) {
  cri::RemoveContainerRequest request;
  request.set_container_id(id);
  const auto removed = daemon.call(&cri::RuntimeService::Stub::RemoveContainer, request, "remove container");
  if (!removed.has_value()) log::warning(removed.error().to_string());
}

// Interrupted: the container gets its grace; its end is what the follower waits for.
Status stop_on_signal(Daemon& daemon, const std::string& id, int signal_fd) {
  std::array<char, sizeof(signalfd_siginfo)> taken{};
  TRY(sys::read_some(signal_fd, taken));
  cri::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(kGrace_s);
  TRY(daemon.call(&cri::RuntimeService::Stub::StopContainer, request, "stop container", std::chrono::seconds{kGrace_s}));
  return ok();
}

Result<int> follow_to_end(Daemon& daemon, const std::string& id, int signal_fd) {
  FollowOptions follow;
  follow.follow = true;
  follow.signal_fd = signal_fd;
  follow.on_signal = [&] { return stop_on_signal(daemon, id, signal_fd); };
  const auto status = TRY(print_log(daemon, id, follow));
  if (status.state() != cri::CONTAINER_EXITED)
    return Error{Kind::internal, format_text("container {} is in an unknown state", id)};
  return status.exit_code();
}

}  // namespace

Result<int> run_run(Daemon& daemon, const Options& options) {
  const bool detach = options.has("detach");
  if (detach && options.has("rm"))
    return Error{Kind::invalid, "--rm removes at the end, which --detach does not wait for"}.hint("use one of them");
  cri::CreateContainerRequest request;
  *request.mutable_config() = TRY(make_container_config(options));
  // Blocked before gRPC starts its threads, which inherit the mask.
  UniqueFd signals;
  if (!detach) signals = TRY(sys::signalfd({SIGINT, SIGTERM}));
  const auto pod = options.value("pod");
  auto found = pod.has_value() ? join_pod(daemon, *pod) : make_pod(daemon, options);
  const auto place = TRY(std::move(found));
  Rollback undo;
  if (place.made) undo.on_failure([&] { remove_made_pod(daemon, place); });
  request.set_pod_sandbox_id(place.pod_id);
  *request.mutable_sandbox_config() = place.config;
  const auto id = TRY(create_container(daemon, request));
  if (!place.made) undo.on_failure([&] { remove_made_container(daemon, id); });
  TRY(start_container(daemon, id));
  undo.commit();
  if (detach) {
    TRY(print(id + "\n"));
    return 0;
  }
  auto code = follow_to_end(daemon, id, signals.get());
  if (!options.has("rm")) return code;
  place.made ? remove_made_pod(daemon, place) : remove_made_container(daemon, id);
  return code;
}

}  // namespace husk::pod
