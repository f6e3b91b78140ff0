// Record: what husk keeps of a container between commands, as <root>/<id>/state.json.
// It is written before each step that cannot be taken back, so that `husk delete --force` cleans up
// after a husk that was killed at any moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/cgroup.h"
#include "oci-spec/runtime_spec.h"
#include "oci-spec/state.h"
#include "phase.h"

namespace husk::runtime {

// How far the container came, as written; `live_phase` adds what only the kernel knows.
//   starting: "start" may have reached the init; whether it did shows its start socket.
enum class Stage : std::uint8_t { creating, created, starting, running };

// A process that outlives this program: the start time tells a reused pid apart.
struct ProcessRef {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot. Source: man 5 proc, /proc/pid/stat field 22
};
Result<ProcessRef> process_ref(pid_t pid);
// A pidfd of the process while it runs; nothing once it is a zombie or gone.
Result<std::optional<UniqueFd>> open_alive(const ProcessRef& process);

// The wait status (man 2 wait) of a process that is over and not reaped yet. Nothing when it is reaped, or may not
// be looked at.
std::optional<int> find_zombie_status(const ProcessRef& process);

// Groups of resctrl, as paths below its mount; see resctrl.h.
struct RdtRecord {
  std::string group;       // "" = linux.intelRdt is absent
  bool own_group = false;  // made for this container: removed with it
  std::string monitor;     // "" = none; removed with it
};

struct Record {
  std::string id;
  Stage stage = Stage::creating;
  std::string bundle;
  std::string rootfs;
  std::int64_t created_ns = 0;
  std::uint32_t owner = 0;  // not written down: of the state directory, as the reader sees it
  ProcessRef init;
  std::string cgroup_path;  // "" = none; with a scope also before systemd has made it
  bool cgroup_claimed = true;  // false until create has made it, or has found nobody in it: it may be somebody else's
  cgroups::Version cgroup_version = cgroups::Version::v2;
  cgroups::Driver cgroup_driver = cgroups::Driver::cgroupfs;
  std::string scope;        // the systemd driver's unit
  std::uint64_t cgroup_id = 0;  // of the scope's cgroup
  cgroups::systemd::Manager scope_manager = cgroups::systemd::Manager::system;
  bool no_pivot = false;
  bool has_process = true;  // config.json has a process: start is possible
  bool has_late_hooks = false;  // poststart or poststop, in the saved config.json
  RdtRecord rdt;
  oci::StringMap annotations;
};
std::string write_record(const Record& record);
Result<Record> parse_record(std::string_view text);

Result<std::unique_ptr<cgroups::Cgroup>> open_cgroup(const Record& record);
// The container's root directory, where it is not that of its mount namespace (--no-pivot); else closed.
Result<UniqueFd> open_own_root(const Record& record);

// The OCI state; pid is 0 when stopped.
oci::State make_state(const Record& record, Phase phase);
// As printed by `husk state` and `husk list`: the OCI state and "cgroupPath".
oci::Json printed_state(const Record& record, Phase phase);

}  // namespace husk::runtime
