// The façade of cgroups/: one interface, two backends (v2/ first class, v1/ for hybrid hosts).
// Order: make_plan (pure) → create → the child is born into it (v2: clone_fd() with
// CLONE_INTO_CGROUP) or enters by itself (v1: open_entries) → freeze/thaw/kill_all → remove.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/stats.h"
#include "cgroups/systemd/unit.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cgroups {

enum class Version : std::uint8_t { v1, v2 };
Version host_version();  // from statfs of /sys/fs/cgroup; hybrid counts as v1

enum class Driver : std::uint8_t { cgroupfs, systemd, disabled };

enum class Need : std::uint8_t {
  required,    // its absence is an error that names the controller
  if_present,  // skipped where the kernel has no such file
  otherwise,   // only where the file before it was absent; then required
};
struct ControlFile {
  std::string name;   // "memory.max"
  std::string value;  // "134217728"
  Need need = Need::required;
  std::string field = {};  // "memory/limit": the field below /linux/resources that asked for it; for errors only
  bool operator==(const ControlFile& other) const {
    return name == other.name && value == other.value && need == other.need;
  }
};

// What create will do: a path below the hierarchy root(s), and the files to write in order.
struct Plan {
  Driver driver = Driver::cgroupfs;
  Version version = Version::v2;
  std::string path;                          // "/kubepods/pod1/abc"; absolute below the mount
  std::vector<ControlFile> files;            // v1: "memory/memory.limit_in_bytes" (controller first)
  std::vector<oci::DeviceRule> device_rules; // in order; begins with deny-all. Empty: none are applied
  std::vector<oci::DeviceRule> replaced_rules;  // update: those in force, when device_rules take their place; else empty
  bool check_memory_usage = false;           // update: refuse a memory limit below the usage
  std::optional<systemd::ScopePlan> scope;   // Driver::systemd; `path` is what it should become
};
// `cgroups_path` "" means "/husk/<id>", a relative one "/husk/<path>", below the root of the mounted
// hierarchies. systemd: see systemd::parse_scope_path. Errors: invalid (with the resource's JSON pointer), unsupported.
// Source: config-linux.md#control-groups.
Result<Plan> make_plan(const std::string& cgroups_path, const oci::Resources& resources, const std::string& id,
                       Driver driver, const systemd::ScopeOptions& options = {});
// The same for a given version; pure.
Result<Plan> make_plan_for(Version version, const std::string& cgroups_path, const oci::Resources& resources,
                           const std::string& id, Driver driver, const systemd::ScopeOptions& options = {});

// exec --cgroup: a place below the container's cgroup. On v1 in the hierarchies of these controllers, or in all of them
// when none is named; v2 has one hierarchy.
struct Below {
  std::vector<std::string> controllers;
  std::string path;  // "workers"; "" is the container's own
};

class Cgroup {
 public:
  virtual ~Cgroup() = default;
  virtual const std::string& path() const = 0;
  // Borrowed directory fd for CLONE_INTO_CGROUP; -1 where there is no v2 hierarchy.
  virtual int clone_fd() const = 0;
  // Borrowed: while it is open nobody else creates this cgroup; -1 where clone_fd() is it, or there is none. No child keeps it.
  virtual int lock_fd() const { return -1; }
  // v1, empty on v2: a child of one thread writes "0" to each and is inside. A process that moves itself needs none of
  // the kernel's locks over all processes, whose first taker waits 10-25 ms for a grace period.
  // Source: cgroup_procs_write_start() in kernel/cgroup/cgroup.c.
  // `below`: beneath the cgroup, by no link and no ".." (runc #5403). Errors: not_found, unsupported (no such controller).
  virtual Result<std::vector<UniqueFd>> open_entries(const std::vector<Below>& below) = 0;
  // systemd, after the clone and before the child goes on: it is moved into its scope. `claimed` is called as soon as
  // that is known, with path() and id() told by the kernel, before anything else is made or written there.
  virtual Status adopt(pid_t, const std::function<Status()>& claimed) {
    (void)claimed;
    return ok();
  }
  // systemd of a plain user: the kernel lets nobody move a process across the tree of somebody else, as from a login's
  // session into the user's units. systemd may, for processes of its user. Others: unsupported.
  // `below`: "" or a cgroup inside, "/workers".
  // Source: cgroup-v2.rst, "Delegation Containment".
  virtual bool can_attach() const { return false; }
  virtual Status attach(pid_t, const std::string& below) {
    (void)below;
    return Error{Kind::unsupported, "only a user's systemd moves a process into a cgroup"};
  }
  // v2: the number that no other cgroup has until the next boot; else 0.
  virtual std::uint64_t id() const { return 0; }
  virtual Status freeze() = 0;   // returns when frozen
  virtual Status thaw() = 0;
  virtual Result<bool> is_frozen() = 0;
  // After a SIGKILL: who is in the v1 freezer, also in a part that the container froze itself, meets it only thawed.
  virtual Status thaw_killed();
  virtual Status kill_all(int signal) = 0;           // recursive; SIGKILL is race-free
  virtual Result<std::vector<pid_t>> processes() = 0;  // recursive
  // Somebody has moved `process` out of what freeze() and kill_all() reach. False where nothing tells.
  virtual bool has_lost(pid_t process);
  // update: writes plan.files, then puts plan.device_rules in the place of plan.replaced_rules, if there are any.
  // On failure everything written before gets its earlier value back.
  virtual Status apply(const Plan& plan) = 0;
  // v2: gives the directory and the files that the kernel names to a container that has its own cgroup
  // namespace and a writable mount. v1: nothing. Source: config-linux.md#cgroup-ownership.
  virtual Status delegate(uid_t uid, gid_t gid) = 0;
  // The part that create(plan, Devices::later) left out. v1: nothing, create has done it.
  virtual Status restrict_devices(const Plan& plan) = 0;
  virtual Result<Stats> stats() = 0;
  // Kills what is left, waits for it to be gone (events, no sleeps) and removes the directories
  // this cgroup created and its empty sub-cgroups. Absence is success.
  virtual Status remove() = 0;
};
// Creates directories (what it created is removed again when a later step fails) and writes limits.
// Errors: exists (the path holds processes of somebody else), unsupported (a controller is missing).
// Devices::later: the caller calls restrict_devices() before a program runs in there. Checking a filter takes the
// kernel longer than the rest of create, and may go on beside the child's own set-up.
enum class Devices : std::uint8_t { now, later };
Result<std::unique_ptr<Cgroup>> create(const Plan& plan, Devices devices = Devices::now);
// Opens an existing one by the path of its plan (kept in the container's state); "" gives none().
// Errors: not_found (already removed: `delete` treats that as success, or calls remove_path).
Result<std::unique_ptr<Cgroup>> open(const std::string& path, Version version);
// open() and remove(); absence is success.
Status remove_path(const std::string& path, Version version);
// No cgroup at all (--cgroup-manager disabled): there is nothing to enter, to thaw or to remove; what needs the
// processes of a cgroup (freeze, kill_all, processes) is refused.
std::unique_ptr<Cgroup> none();

// OOM kills so far, by path; for reasons after the exit. 0 when unknown.
std::uint64_t read_oom_kills(const std::string& path);

}  // namespace husk::cgroups
