// The verbs: what husk does with one container. Read create.cc first; the rooms of the architecture
// stand there in order.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/rollback.h"
#include "handshake.h"
#include "notify.h"
#include "plan.h"
#include "spawn.h"
#include "store.h"

namespace husk::runtime {

// A container that is there, with its directory locked. Errors: not_found.
struct Opened {
  ContainerDir directory;
  Record record;
  Phase phase = Phase::stopped;
};
Result<Opened> open_locked(const StateStore& store, const ContainerId& id);

// A container whose init waits for its start, or runs its program already (StartThrough::nothing).
struct Created {
  ContainerDir directory;  // locked
  Record record;
  oci::Hooks hooks;
  InitProcess init;
  std::optional<NotifyProxy> notify;  // run with $NOTIFY_SOCKET
  UniqueFd terminal;       // foreground with a terminal and no console socket: where its master arrives
};
enum class StartThrough : std::uint8_t { socket, nothing };
// create: StartThrough::socket. run: nothing, the program follows at once. `begin` comes when the configuration is read
// (of a FIFO, perhaps never) and nothing is made yet.
Result<Created> create_container(const StateStore& store, const CreateOptions& options, StartThrough through,
                                 const std::function<Status()>& begin = {});

// `notify_socket`: the host's $NOTIFY_SOCKET, "" for none; with one it waits until the container says it is ready.
Status start_container(const StateStore& store, const ContainerId& id, const std::string& notify_socket = "");
// run: what is left to do after the start: poststart hooks, and letting go of the lock.
Status finish_start(Created& created);

struct KillOptions {
  ContainerId id;
  int signal = 15;
  bool all = false;
};
Status kill_container(const StateStore& store, const KillOptions& options);

// Ends what is left, removes cgroup and state, runs poststop hooks. Without force only what is stopped
// or created; a missing container with force is success.
Status delete_container(const StateStore& store, const ContainerId& id, bool force);
// The end of it, with the directory locked.
Status destroy(const ContainerDir& directory, const Record& record, const oci::Hooks& hooks);
// The same for who has waited for its end, unless somebody else was faster.
Status remove_after_end(Created& created);

// What --force does once the lock is held. A directory without a record is removed alone.
Status remove_locked(const ContainerDir& directory);
// Of a container whose record cannot be read. Errors: wrong_state when somebody lives in its cgroup, or nobody knows.
Status remove_damaged(const ContainerDir& directory, const Error& damage);

// Containers whose create was killed: nobody holds their lock, and their record is missing or says "creating".
// Removes them with their cgroups; their ids.
Result<std::vector<std::string>> collect_cut_short(const StateStore& store, bool dry_run);

// Mounts that come to a container that has not stopped, or go (by destination): all of them or none. They are the
// mount namespace's and go with it: neither the record nor the saved config.json tells of them.
enum class MountChange : std::uint8_t { add, remove };
Status change_mounts(const StateStore& store, const ContainerId& id, MountChange change, const std::vector<oci::Mount>& mounts);

Status pause_container(const StateStore& store, const ContainerId& id);
Status resume_container(const StateStore& store, const ContainerId& id);

// Waits for the end of a container whose parent is somebody else: its exit code, or 128 + signal (see README.md for
// who knows it). Errors: not_found when nobody does.
Result<int> wait_for_container(const StateStore& store, const ContainerId& id);
// Until a process is over that need not be a child of ours; false when `timeout_ms` passed first (-1: no limit).
Result<bool> wait_until_over(const UniqueFd& pidfd, int timeout_ms);

// Changes limits of a container that has not stopped: all of `change` or nothing, and the saved config.json with
// them. Zero and absent mean "as it is"; a device list takes the place of the one in force.
Status update_container(const StateStore& store, const ContainerId& id, const oci::Resources& change);
// The same for the resctrl group of a container with linux.intelRdt; "" leaves a part as it is.
Status update_rdt(const StateStore& store, const ContainerId& id, const std::string& l3_cache_schema, const std::string& mem_bw_schema);
// What config.json says afterwards. Pure.
oci::Resources merge_resources(const oci::Resources& saved, const oci::Resources& change);

// The resctrl group of linux.intelRdt, written down in the record before it is made; join_rdt() enters it.
Status make_rdt(const ContainerDir& directory, const oci::Spec& spec, Record& record, Rollback& undo);

// Writes a decimal pid, without a newline, by rename: presence means "started".
Status write_pid_file(const std::string& path, pid_t pid);

// The text of the bundle's config.json, or of --config.
Result<std::string> read_config_file(const CreateOptions& options);
Result<oci::Spec> saved_spec(const ContainerDir& directory);

}  // namespace husk::runtime
