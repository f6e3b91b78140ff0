// Decides how one entry of config.json's "mounts" is mounted; touches nothing.
// Source: runtime-spec config.md#mounts; man 2 fsopen, open_tree, mount_setattr.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "oci-spec/runtime_spec.h"

namespace husk::rootfs {

enum class Act : std::uint8_t { bind, fresh, cgroup, remount };
struct MountOp {
  Act act = Act::fresh;
  std::string pointer;      // JSON pointer of the entry, for errors
  std::string from;         // bind: host path; fresh: source text
  std::string to;           // destination inside
  std::string type;         // file system type of a fresh mount
  std::string label;        // SELinux, of what is mounted anew; "" = the policy's own
  std::string label_option = "context";  // or fscontext, defcontext, rootcontext
  std::vector<std::pair<std::string, std::string>> settings;  // fsconfig key → value; "" = flag
  bool recursive_bind = false;
  bool reconfigure = false;             // remount without bind: the file system's settings change too
  std::uint64_t attributes_set = 0;     // MOUNT_ATTR_*
  std::uint64_t attributes_clear = 0;
  std::uint64_t recursive_set = 0;      // with AT_RECURSIVE
  std::uint64_t recursive_clear = 0;
  std::uint64_t propagation = 0;        // MS_* of the (r)shared… options; 0 = private is left as made
  bool propagation_recursive = false;
  bool copy_up = false;                 // tmpcopyup
  bool copy_link = false;               // bind: these three as in mount_options.h
  bool source_nofollow = false;
  bool place_nofollow = false;
  bool speaks_of_links() const { return copy_link || source_nofollow || place_nofollow; }
  std::string unused;                   // a file system's "key=value" on a bind mount, which man 2 mount ignores
  bool id_map = false;
  bool id_map_recursive = false;
  std::vector<oci::IdMapping> uid_mappings;
  std::vector<oci::IdMapping> gid_mappings;
  std::string id_map_path;              // instead of mappings: a user namespace file that is joined
};
Result<MountOp> plan_mount(const oci::Mount& mount, const std::string& pointer);

// Lexical: "/a//b/./c/.." → "/a/b". Never leaves "/".
std::string clean_path(std::string_view path);
bool is_below(std::string_view path, std::string_view directory);  // both clean; not equal
// May something other than procfs be mounted at `path`, which is clean? Everything in a container that
// asks /proc trusts it, so only the files that lxcfs serves may be replaced.
// Source: CVE-2019-16884, CVE-2023-27561.
bool may_cover_proc_file(std::string_view path);

}  // namespace husk::rootfs
