// checkpoint and restore through CRIU. Read outside.h first: what CRIU cannot know, and how it is told.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "container.h"
#include "criu/request.h"
#include "plan.h"
#include "store.h"

namespace husk::runtime {

// What both take: options of CRIU's own are in `criu` (flags, modes), the rest is filled in here.
struct CriuOptions {
  std::string image_path;  // absolute
  std::string work_path;   // absolute; "" = image_path
  criu::Request criu;
};

struct CheckpointOptions {
  ContainerId id;
  CriuOptions common;
  bool pre_dump = false;
};
// Writes the container to image_path and ends it, unless it is left running. When it fails the container runs on.
Status checkpoint_container(const StateStore& store, const CheckpointOptions& options);

struct RestoreOptions {
  CreateOptions create;
  CriuOptions common;
};
// A running container again; a stopped one of that id, as checkpoint leaves it, is replaced. When it fails nothing is
// left. The directory stays locked.
Result<Created> restore_container(const StateStore& store, const RestoreOptions& options);

// As a record begins, of create and of restore.
Record first_record(const ContainerPlan& plan);
// Makes the scope of the systemd driver round the process, and writes it down; with other drivers nothing.
Status adopt_into_scope(cgroups::Cgroup& cgroup, Created& created, pid_t process);

// CRIU's names of external namespaces: the key of one that config.json gives by path.
inline constexpr const char* kNetKey = "husk-net";
inline constexpr const char* kPidKey = "husk-pid";

}  // namespace husk::runtime
