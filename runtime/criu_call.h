// Runs husk-criu, which speaks with CRIU: husk itself knows no protobuf.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "criu/request.h"

namespace husk::runtime {

struct CriuCall {
  criu::Request request;
  int cgroup_fd = -1;  // where husk-criu is born, as for clone3
  // In the parent, while the child waits: puts it where it could not be born, into a scope of systemd.
  std::function<Status(pid_t child)> adopt;
  // In the child before husk-criu runs; may complete the request.
  std::function<Status(criu::Request& request)> prepare;
  // A moment that CRIU tells of; an error ends the operation. `fd` is open for "orphan-pts-master".
  std::function<Status(const criu::Event& event, UniqueFd fd)> notify;
};
// The pid of the restored init, 0 for the rest. Errors carry what CRIU's log says. husk-criu is over afterwards.
Result<pid_t> call_criu(const CriuCall& call);

inline constexpr std::string_view kCriuConfigAnnotation = "org.criu.config";
// The name of the annotation's file for CRIU, or husk's default. Source: runc, docs/checkpoint-restore.md.
std::string criu_config_file(const std::vector<std::pair<std::string, std::string>>& annotations);
// CRIU needs capabilities of the host's user namespace.
Status require_root_for_criu();

}  // namespace husk::runtime
