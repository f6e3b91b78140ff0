#include "rootfs/mount_plan.h"

#include <linux/mount.h>

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/text.h"
#include "rootfs/mount_options.h"

namespace husk::rootfs {
namespace {

// File systems without a device below them. Read-only is a matter of the mount there; the others must
// be told too, or a read-only device could not be mounted.
constexpr std::array<std::string_view, 17> kVirtualTypes{
    "binfmt_misc", "bpf", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
    "hugetlbfs", "mqueue", "overlay", "proc", "pstore", "ramfs", "sysfs", "tmpfs"};

constexpr std::array<std::string_view, 11> kProcFiles{
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/net/dev", "/proc/slabinfo",
    "/proc/stat", "/proc/swaps", "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid", "/proc/uptime"};

bool is_default_flag(std::string_view name) { return name == "async" || name == "nolazytime" || name == "nomand"; }

Status check_texts(const oci::Mount& mount) {
  for (const auto* text : {&mount.destination, &mount.source, &mount.type})
    if (text->find('\0') != std::string::npos)
      return Error{Kind::invalid, format_text("{} holds a NUL byte", quote(*text))};
  return ok();
}

Status check_destination(const MountOp& op) {
  if (op.to == "/") return Error{Kind::invalid, "\"/\" is the rootfs itself and cannot be a destination"};
  if (!is_below(op.to, "/proc") || may_cover_proc_file(op.to)) return ok();
  return Error{Kind::invalid, format_text("{} is inside /proc, which no mount may cover", quote(op.to))}.hint(
      "use maskedPaths or readonlyPaths to restrict /proc");
}

Status plan_bind(const MountOptions& options, const oci::Mount& mount, MountOp& op) {
  op.act = Act::bind;
  op.type.clear();
  op.recursive_bind = options.recursive_bind || mount.type == "rbind";
  if (mount.source.empty()) return Error{Kind::invalid, "a bind mount needs a source"};
  for (const auto& [key, value] : options.data) {
    if (value.empty())  // "r0" for "ro" must not become a writable mount
      return Error{Kind::invalid, format_text("option {} means nothing on a bind mount", quote(key))};
    if (key != "idmap" && key != "ridmap") {
      op.unused = key;
    } else if (mount.uid_mappings.empty()) {  // crun's form; left out, files would have other owners than was asked for
      return Error{Kind::unsupported, format_text("option {} takes no value", quote(key))}.hint("give the mount uidMappings and gidMappings");
    } else if (key == "ridmap") {  // podman keeps its own option beside the mappings
      op.id_map_recursive = true;
    }
  }
  if (options.copy_up) return Error{Kind::invalid, "tmpcopyup works on tmpfs only"};
  return ok();
}

void plan_remount(const MountOptions& options, MountOp& op) {
  op.act = Act::remount;
  op.reconfigure = !options.bind;
  op.recursive_bind = options.recursive_bind || op.recursive_set != 0 || op.recursive_clear != 0;
  if (options.bind) return;
  op.settings = options.superblock;
  op.settings.insert(op.settings.end(), options.data.begin(), options.data.end());
  if ((op.attributes_set & MOUNT_ATTR_RDONLY) != 0) op.settings.emplace_back("ro", "");
  if ((op.attributes_clear & MOUNT_ATTR_RDONLY) != 0) op.settings.emplace_back("rw", "");
}

Status plan_fresh(const MountOptions& options, const oci::Mount& mount, MountOp& op) {
  op.act = mount.type == "cgroup" ? Act::cgroup : Act::fresh;
  if (mount.type.empty())
    return Error{Kind::invalid, "the mount has no type"}.hint("for a bind mount add the option bind or rbind");
  if (op.to == "/proc" && mount.type != "proc")
    return Error{Kind::invalid, format_text("{} is no procfs and cannot be mounted on /proc", quote(mount.type))}.hint(
        "what runs in the container trusts /proc");
  if (op.id_map) return Error{Kind::unsupported, "only bind mounts can be idmapped"};
  if (options.copy_up && mount.type != "tmpfs") return Error{Kind::invalid, "tmpcopyup works on tmpfs only"};
  op.copy_up = options.copy_up;
  for (const auto& flag : options.superblock)
    if (!is_default_flag(flag.first)) op.settings.push_back(flag);
  op.settings.insert(op.settings.end(), options.data.begin(), options.data.end());
  const bool read_only = ((op.attributes_set | op.recursive_set) & MOUNT_ATTR_RDONLY) != 0;
  if (read_only && op.act == Act::fresh && std::ranges::find(kVirtualTypes, mount.type) == kVirtualTypes.end())
    op.settings.emplace_back("ro", "");
  return ok();
}

// Elsewhere they would be left out, and a mount would be where the configuration does not want it.
Status plan_links(const MountOptions& options, MountOp& op) {
  op.copy_link = options.copy_link;
  op.source_nofollow = options.source_nofollow;
  op.place_nofollow = options.place_nofollow;
  if (!op.speaks_of_links()) return ok();
  const char* other = op.source_nofollow ? "src-nofollow" : "dest-nofollow";
  if (op.act != Act::bind)
    return Error{Kind::invalid, format_text("option {} works on bind mounts only", quote(op.copy_link ? "copy-symlink" : other))}
        .hint("leave it out, or add bind or rbind");
  if (op.copy_link && (op.source_nofollow || op.place_nofollow))
    return Error{Kind::invalid, format_text("\"copy-symlink\" and {} exclude each other", quote(other))}.hint(
        "keep one: copy-symlink makes the link anew, without a mount");
  return ok();
}

Result<MountOp> plan_any(const oci::Mount& mount, const std::string& pointer) {
  TRY(check_texts(mount));
  const auto options = TRY(parse_mount_options(mount.options));
  MountOp op{.pointer = pointer,
             .from = mount.source,
             .to = clean_path(mount.destination),
             .type = mount.type,
             .attributes_set = options.attributes_set,
             .attributes_clear = options.attributes_clear,
             .recursive_set = options.recursive_set,
             .recursive_clear = options.recursive_clear,
             .propagation = options.propagation,
             .propagation_recursive = options.propagation_recursive,
             // config.md#mounts: mappings without the option still ask for an idmapped mount.
             .id_map = options.id_map || !mount.uid_mappings.empty() || !mount.gid_mappings.empty(),
             .id_map_recursive = options.id_map_recursive,
             .uid_mappings = mount.uid_mappings,
             .gid_mappings = mount.gid_mappings};
  TRY(check_destination(op));
  if (options.remount) {
    plan_remount(options, op);
  } else if (options.bind || mount.type == "bind" || mount.type == "rbind") {
    TRY(plan_bind(options, mount, op));
  } else {
    TRY(plan_fresh(options, mount, op));
  }
  TRY(plan_links(options, op));
  return op;
}

}  // namespace

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      kept.push_back(part);
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string clean;
  for (const auto part : kept) clean += "/" + std::string{part};
  return clean.empty() ? "/" : clean;
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.size() > 1;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

bool may_cover_proc_file(std::string_view path) {
  return std::ranges::find(kProcFiles, path) != kProcFiles.end();
}

Result<MountOp> plan_mount(const oci::Mount& mount, const std::string& pointer) {
  auto op = plan_any(mount, pointer);
  if (op.has_value()) return op;
  return std::move(op).error().during(format_text("{}: mount on {}", quote(pointer), quote(mount.destination)));
}

}  // namespace husk::rootfs
