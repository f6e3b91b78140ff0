#include <future>
#include <vector>

#include "base/log.h"
#include "cri/client/commands.h"
#include "cri/client/inventory.h"
#include "cri/client/text/values.h"

namespace husk::pod {
namespace {

Status stop_container(Daemon& daemon, const std::string& id, std::int64_t seconds) {
  cri::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(seconds);
  TRY(daemon.call(&cri::RuntimeService::Stub::StopContainer, request, "stop container", std::chrono::seconds{seconds}));
  return ok();
}

// StopPodSandbox ends what runs at once: the containers get their grace before it, all at the same
// time, as kubelet does.
Status stop_pod(Daemon& daemon, const Inventory& inventory, const cri::PodSandbox& pod, std::int64_t seconds) {
  std::vector<std::future<Status>> stops;
  for (const auto& container : inventory.containers)
    if (container.pod_sandbox_id() == pod.id() && container.state() == cri::CONTAINER_RUNNING)
      stops.push_back(std::async(std::launch::async, stop_container, std::ref(daemon), container.id(), seconds));
  for (auto& stop : stops) TRY(stop.get());
  cri::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(pod.id());
  TRY(daemon.call(&cri::RuntimeService::Stub::StopPodSandbox, request, "stop pod"));
  return ok();
}

}  // namespace

Result<int> run_stop(Daemon& daemon, const Options& options) {
  std::int64_t seconds = 10;
  if (const auto given = options.value("time")) seconds = TRY(parse_seconds(*given).during("--time"));
  const auto inventory = TRY(read_inventory(daemon));
  int code = 0;
  for (const auto& word : options.words()) {
    const auto stop = [&]() -> Status {
      const auto target = TRY(find_target(inventory, word));
      if (target.pod != nullptr) return stop_pod(daemon, inventory, *target.pod, seconds);
      return stop_container(daemon, target.container->id(), seconds);
    };
    const auto done = stop();
    if (done.has_value()) continue;
    log::error(Error{done.error()}.during("stop").to_string());
    code = 1;
  }
  return code;
}

}  // namespace husk::pod
