#include <fcntl.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/text.h"
#include "cri/client/commands.h"
#include "cri/client/inventory.h"
#include "cri/client/make_config.h"

namespace husk::pod {
namespace {

Status remove_container(Daemon& daemon, const cri::Container& container, bool force) {
  if (container.state() == cri::CONTAINER_RUNNING && !force)
    return Error{Kind::wrong_state, format_text("container {} is running", quote(container.metadata().name()))}.hint(
        "stop it first, or use --force");
  cri::RemoveContainerRequest request;
  request.set_container_id(container.id());
  TRY(daemon.call(&cri::RuntimeService::Stub::RemoveContainer, request, "remove container"));
  return ok();
}

// A pod whose containers have all ended may go; one without any may be about to get some.
bool is_in_use(const Inventory& inventory, const cri::PodSandbox& pod) {
  bool ended = false;
  for (const auto& container : inventory.containers) {
    if (container.pod_sandbox_id() != pod.id()) continue;
    if (container.state() == cri::CONTAINER_RUNNING) return true;
    ended = true;
  }
  return pod.state() == cri::SANDBOX_READY && !ended;
}

Status remove_pod_if_allowed(Daemon& daemon, const Inventory& inventory, const cri::PodSandbox& pod, bool force) {
  if (is_in_use(inventory, pod) && !force)
    return Error{Kind::wrong_state, format_text("pod {} is running", quote(pod.metadata().name()))}.hint(
        "stop it first, or use --force");
  return remove_pod(daemon, pod);
}

}  // namespace

Status remove_pod(Daemon& daemon, const cri::PodSandbox& pod) {
  if (pod.state() == cri::SANDBOX_READY) {
    cri::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(pod.id());
    TRY(daemon.call(&cri::RuntimeService::Stub::StopPodSandbox, stop, "stop pod"));
  }
  cri::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(pod.id());
  TRY(daemon.call(&cri::RuntimeService::Stub::RemovePodSandbox, request, "remove pod"));
  const auto directory = own_log_directory(pod);
  if (directory.empty()) return ok();
  return remove_tree(AT_FDCWD, directory).during("remove logs");
}

Result<int> run_rm(Daemon& daemon, const Options& options) {
  const bool force = options.has("force");
  if (options.words().empty() && !options.has("all"))
    return Error{Kind::invalid, "no pod or container is named"}.hint("see husk-pod rm --help");
  const auto inventory = TRY(read_inventory(daemon));
  int code = 0;
  const auto report = [&](const Status& done) {
    if (done.has_value()) return;
    log::error(Error{done.error()}.during("rm").to_string());
    code = 1;
  };
  for (const auto& word : options.words()) {
    const auto target = find_target(inventory, word);
    if (!target.has_value()) {
      report(target.error());
    } else if (target.value().pod != nullptr) {
      report(remove_pod_if_allowed(daemon, inventory, *target.value().pod, force));
    } else {
      report(remove_container(daemon, *target.value().container, force));
    }
  }
  if (options.has("all"))
    for (const auto& pod : inventory.pods)
      if (force || !is_in_use(inventory, pod)) report(remove_pod_if_allowed(daemon, inventory, pod, force));
  return code;
}

}  // namespace husk::pod
