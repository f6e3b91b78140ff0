// What the daemon has, and finding in it what a word on the command line means.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cri/client/connection.h"

namespace husk::pod {

struct Inventory {
  std::vector<cri::PodSandbox> pods;
  std::vector<cri::Container> containers;

  const cri::PodSandbox* pod_of(const cri::Container& container) const;
};
Result<Inventory> read_inventory(Daemon& daemon);

Result<const cri::PodSandbox*> find_pod(const Inventory& inventory, std::string_view word);
// A container; or of a pod its only container, running ones first.
Result<const cri::Container*> find_container(const Inventory& inventory, std::string_view word);

// One of both, pods first: for stop and rm.
struct Target {
  const cri::PodSandbox* pod = nullptr;
  const cri::Container* container = nullptr;
};
Result<Target> find_target(const Inventory& inventory, std::string_view word);

std::string_view state_name(cri::ContainerState state);
std::string_view state_name(cri::PodSandboxState state);

}  // namespace husk::pod
