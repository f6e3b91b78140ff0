// linux.intelRdt: groups of the resctrl file system, which share out cache and memory bandwidth and measure their use.
// Read `Resctrl` first. A group that config.json names ("closID") is for several containers: it is made when it is
// missing and stays; only one that is named after the container, and its monitoring group, go with it.
// Source: config-linux.md#intelrdt; kernel Documentation/filesystems/resctrl.rst.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/root_dir.h"
#include "oci-spec/json.h"
#include "oci-spec/runtime_spec.h"
#include "record.h"

namespace husk::runtime {

struct RdtPlan {
  RdtRecord record;
  bool may_make = false;           // else the group must be there
  std::vector<std::string> lines;  // of "schemata", in the order in which they count
};
// Pure.
RdtPlan plan_rdt(const oci::IntelRdt& rdt, const std::string& id);

// Does "schemata" of a group say all of `wanted`? Domains that `wanted` leaves out may have any value.
bool schemata_match(std::string_view schemata, const std::vector<std::string>& wanted);

class Resctrl {
 public:
  // The host's. Errors: unsupported when it is not mounted.
  static Result<Resctrl> open();
  explicit Resctrl(RootDir root) : root_{std::move(root)} {}

  bool can_monitor() const;  // the use of the last-level cache, or of memory bandwidth
  // Changes nothing. Errors: a group that must exist does not, exists for another purpose, or says something else.
  Status check(const RdtPlan& plan) const;
  // After check. True: the group was made. A failure takes away what it made.
  Result<bool> make(const RdtPlan& plan) const;
  Status join(const RdtRecord& record, pid_t pid) const;
  Status write_schemata(const std::string& group, const std::vector<std::string>& lines) const;
  // What goes with the container. What is gone already is no error.
  Status remove(const RdtRecord& record) const;
  // "intel_rdt" of `events`: what there is.
  oci::Json statistics(const RdtRecord& record) const;

 private:
  Result<std::optional<UniqueFd>> find(const std::string& path) const;
  Status write(const std::string& path, std::string_view text) const;
  Status make_monitor(const RdtPlan& plan) const;
  std::string last_status() const;

  RootDir root_;
};

// For the rooms of create, exec, delete and update: nothing to do for a container without linux.intelRdt.
Status join_rdt(const RdtRecord& record, pid_t pid);
Status remove_rdt(const RdtRecord& record);
oci::Json rdt_statistics(const RdtRecord& record);  // {} without linux.intelRdt

}  // namespace husk::runtime
