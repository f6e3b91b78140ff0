// linux.resources → the control files to write. Pure; one table for each version.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "oci-spec/runtime_spec.h"

namespace husk::cgroups {

// Rules that hold on both versions: ranges, CPU lists, names. Errors: invalid, with the JSON pointer.
// Source: config-linux.md#control-groups and the kernel's own limits.
Status check_resources(const oci::Resources& resources);

// An error that names the place, as JsonReader::error does: `"/linux/resources/pids": …`.
Error resource_error(Kind kind, std::string_view pointer, std::string_view what);

// checkBeforeUpdate: a limit below the usage would call the OOM killer. "max" and "-1" are above any. Errors: busy.
Status check_memory_limit(const std::string& limit, std::uint64_t usage_bytes);

// Each file with the field that asked for it, "memory/limit": its error names both.
void add_file(std::vector<ControlFile>& files, std::string_view field, std::string_view name, std::string value,
              Need need = Need::required);
// The same on both versions, but for the names: PREFIX + "2MB." + ["rsvd."] + FILE.
void add_hugepages(std::vector<ControlFile>& files, const std::vector<oci::HugepageLimit>& limits,
                   std::string_view prefix, std::string_view file);
void add_rdma(std::vector<ControlFile>& files, const std::vector<oci::RdmaLimit>& limits, std::string_view name);

namespace v2 {
Result<std::vector<ControlFile>> limit_files(const oci::Resources& resources);
}
namespace v1 {
Result<std::vector<ControlFile>> limit_files(const oci::Resources& resources);
}

}  // namespace husk::cgroups
