// ProcessPlan: what becomes of config.json's "process": decided before the clone, applied by init/.
// Shared by create and exec. Pure.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/sys.h"
#include "capabilities.h"
#include "oci-spec/runtime_spec.h"
#include "seccomp_cache.h"

namespace husk::runtime {

struct RlimitPlan {
  int resource = 0;
  std::string name;
  sys::Limit limit;
};

// struct sched_attr of man 2 sched_setattr, first version.
struct SchedAttr {
  std::uint32_t size = sizeof(SchedAttr);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

struct MemoryPolicyPlan {
  int mode = 0;
  std::vector<unsigned long> nodes;  // bit mask
  unsigned long max_node = 0;
};

using CpuMask = std::vector<unsigned char>;

struct ProcessPlan {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  bool terminal = false;
  std::optional<oci::ConsoleSize> console_size;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  bool keep_groups = false;  // those of the caller, instead
  mode_t umask = 0022;
  CapSets caps;
  std::vector<std::string> unknown_caps;
  bool no_new_privileges = false;
  std::vector<RlimitPlan> rlimits;
  std::optional<int> oom_score_adj;
  std::optional<SchedAttr> scheduler;
  std::optional<int> io_priority;
  std::optional<unsigned long> persona;
  std::optional<MemoryPolicyPlan> memory_policy;
  std::optional<CpuMask> initial_affinity;  // exec only: of husk, until the new process is in the cgroup
  std::optional<CpuMask> final_affinity;    // exec only: of the program
  std::optional<SeccompFilter> seccomp;
  std::string apparmor_profile;
  std::string selinux_label;
  std::string listener_path;  // with a filter that has a listener
  std::string listener_metadata;
  bool new_keyring = true;
  std::string keyring;  // "_ses.<id>"
};

struct ProcessContext {
  std::string container_id;
  bool new_keyring = true;
  bool is_exec = false;
  const SeccompCache* filters = nullptr;  // absent: compile, keep nothing
  oci::StringMap annotations = {};
};
Result<ProcessPlan> make_process_plan(const oci::Process& process, const oci::Linux& linux,
                                      const ProcessContext& context);

// "0-3,7" → bit mask with one bit a CPU or node. Source: man 7 cpuset, list format.
Result<std::vector<bool>> parse_number_list(std::string_view text, std::string_view pointer);

}  // namespace husk::runtime
