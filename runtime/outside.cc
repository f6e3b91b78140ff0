#include "outside.h"

#include <linux/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/file.h"
#include "base/format.h"
#include "base/root_dir.h"
#include "base/sys.h"
#include "base/text.h"
#include "mount_table.h"
#include "oci-spec/json.h"
#include "rootfs/fresh_mount.h"

namespace husk::runtime {
namespace {

using oci::Json;
using oci::JsonReader;
using rootfs::Act;

constexpr long kQueueMagic = 0x19800202;  // MQUEUE_MAGIC in ipc/mqueue.c

Json numbers(const std::vector<std::uint64_t>& values) {
  auto list = Json::array();
  for (const auto value : values) list.push(Json{value});
  return list;
}

Result<std::vector<std::uint64_t>> numbers_in(const JsonReader& reader, std::string_view key, std::uint64_t most = 100'000) {
  const auto member = TRY(reader.require(key));
  std::vector<std::uint64_t> values;
  for (const auto& item : TRY(member.elements())) values.push_back(TRY(item.uint64(most)));
  return values;
}

Result<RootDir> open_root_of(pid_t pid) {
  auto root = TRY(sys::openat(AT_FDCWD, format_text("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
  return RootDir::adopt(std::move(root));
}

// One look at the mounts of a container.
class Look {
 public:
  Look(RootDir root, MountTable table) : root_{std::move(root)}, table_{std::move(table)} {}

  // closed: nothing is there
  Result<UniqueFd> open_unfollowed(const std::string& path) const {
    auto place = root_.open_path(path, O_NOFOLLOW);
    if (!place.has_value() && place.error().kind() == Kind::not_found) return UniqueFd{};
    return place;
  }

  // The mount whose root `path` is; nullptr when there is none, or nothing is there.
  Result<const Mounted*> find_mount(const std::string& path) const {
    const auto place = TRY(root_.find_path(path));
    if (!place.has_value()) return nullptr;
    const auto is_root = TRY(sys::is_mount_root(place->get(), ""));
    if (!is_root) return nullptr;
    return table_.find(TRY(sys::mount_id(place->get(), "")));
  }

  Status add(const Mounted& mount, std::string key) {
    // CRIU keeps "mnt[POINT]:KEY" as one text and looks for "mnt[OTHER]:" at its start.
    if (mount.point.find("]:") != std::string::npos)
      return Error{Kind::unsupported, format_text("the mount point {} holds \"]:\", which CRIU would misread", quote(mount.point))}
          .hint("mount it at another place to checkpoint this container");
    for (const auto& [point, other] : seen.mounts)
      if (point == mount.point)
        return Error{Kind::wrong_state, format_text("{} and {} are both mounted at {}", other, key, quote(point))}.hint(
            "a symbolic link in the container leads one of them there");
    seen.mounts.emplace_back(mount.point, std::move(key));
    return ok();
  }

  const MountTable& table() const { return table_; }
  Seen seen;

 private:
  RootDir root_;
  MountTable table_;
};

// The container's own cgroups. CRIU would mount hierarchies before it enters the cgroup namespace, and so show all of
// the host's. v1: below a tmpfs.
Status look_at_hierarchies(Look& look, const Mounted& base) {
  if (base.type == "cgroup2") {
    TRY(look.add(base, hierarchy_key(look.seen.outside.hierarchies.size())));
    look.seen.outside.hierarchies.emplace_back();
    return ok();
  }
  for (const auto& mount : look.table().all()) {
    if (mount.parent != base.id || (mount.type != "cgroup" && mount.type != "cgroup2")) continue;
    const auto prefix = base.point + "/";
    if (!mount.point.starts_with(prefix)) continue;
    TRY(look.add(mount, hierarchy_key(look.seen.outside.hierarchies.size())));
    look.seen.outside.hierarchies.push_back(mount.point.substr(prefix.size()));
  }
  return ok();
}

// A copied link (copy-symlink) is no mount, and what it leads to may be another one.
Result<bool> is_copied_link(const rootfs::MountOp& op, const UniqueFd& place) {
  const auto here = sys::readlinkat(place.get(), "");
  const auto source = sys::readlinkat(AT_FDCWD, op.from);
  return here.has_value() && source.has_value() && here.value() == source.value();
}

// CRIU mounts by path: what is a link, or may stand on one, it would mount where the link leads.
Status refuse_link_mount(const rootfs::MountOp& op, const UniqueFd& place) {
  const bool mounted = TRY(sys::is_mount_root(place.get(), ""));
  const auto info = TRY(sys::fstat(place.get()));
  if (!mounted || S_ISDIR(info.st_mode) || !(S_ISLNK(info.st_mode) || op.place_nofollow)) return ok();
  return Error{Kind::unsupported, format_text("{}: CRIU would follow a symbolic link at {}, which src-nofollow or dest-nofollow forbids", quote(op.pointer), quote(op.to))}
      .hint("make the container without these options to checkpoint it");
}

Status look_at_bind(Look& look, const rootfs::MountOp& op, std::size_t index) {
  if (op.speaks_of_links()) {
    const auto place = TRY(look.open_unfollowed(op.to));
    if (!place.is_open()) return ok();
    const bool copied = op.copy_link ? TRY(is_copied_link(op, place)) : false;
    if (copied) return ok();
    TRY(refuse_link_mount(op, place));
  }
  const auto* mount = TRY(look.find_mount(op.to));
  if (mount == nullptr) return ok();  // the container has unmounted it
  TRY(look.add(*mount, mount_key(index)));
  look.seen.outside.mounts.push_back(index);
  look.seen.outside.destinations.push_back(op.to);
  return ok();
}

Status look_at_mounts(Look& look, const rootfs::RootfsPlan& plan) {
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const auto& op = plan.mounts[i];
    if (op.act == Act::bind) TRY(look_at_bind(look, op, i));
    if (!is_cgroup_mount(op)) continue;
    const auto* mount = TRY(look.find_mount(op.to));
    if (mount != nullptr) TRY(look_at_hierarchies(look, *mount));
  }
  return ok();
}

Status look_at_masks(Look& look, const rootfs::RootfsPlan& plan, pid_t init) {
  const auto root = TRY(open_root_of(init));
  for (std::size_t i = 0; i < plan.masked_paths.size(); ++i) {
    const auto* mount = TRY(look.find_mount(plan.masked_paths[i]));
    if (mount == nullptr) continue;
    const auto place = TRY(root.open_path(plan.masked_paths[i]));
    const auto info = TRY(sys::fstat(place.get()));
    const bool is_null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
    if (!is_null && !(S_ISDIR(info.st_mode) && mount->type == "tmpfs")) continue;  // no mask of ours
    TRY(look.add(*mount, mask_key(i)));
    (is_null ? look.seen.outside.masks : look.seen.outside.masked_directories).push_back(i);
  }
  return ok();
}

Status look_at_devices(Look& look, const rootfs::RootfsPlan& plan) {
  for (std::size_t i = 0; i < plan.devices.size(); ++i) {
    const auto* mount = TRY(look.find_mount(plan.devices[i].path));
    if (mount == nullptr) continue;  // a node, as usual
    TRY(look.add(*mount, device_key(i)));
    look.seen.outside.devices.push_back(i);
  }
  return ok();
}

// "mnt_id:\t123" of /proc/PID/fdinfo/N
Result<std::uint64_t> mount_of_fd(pid_t pid, int fd) {
  const auto text = TRY(read_file(format_text("/proc/{}/fdinfo/{}", pid, fd)));
  for (const auto line : split(text, '\n'))
    if (line.starts_with("mnt_id:")) return parse_uint64(trim(line.substr(7)));
  return Error{Kind::internal, "fdinfo has no mnt_id"};
}

bool is_terminal(dev_t device) { return major(device) == 4 || (major(device) >= 136 && major(device) <= 143); }

// CRIU's name for a file that is not the container's. Source: man 8 criu, --external and --inherit-fd.
Result<std::string> name_stream(Look& look, pid_t init, int fd) {
  const auto path = format_text("/proc/{}/fd/{}", init, fd);
  const auto link = sys::readlinkat(AT_FDCWD, path);
  if (!link.has_value()) return std::string{};  // closed
  if (link.value().starts_with("pipe:[")) return link.value();
  const auto info = TRY(sys::fstatat(AT_FDCWD, path, 0));
  if (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode)) return std::string{};
  const auto mount = TRY(mount_of_fd(init, fd));
  if (look.table().find(mount) != nullptr) return std::string{};
  auto name = S_ISCHR(info.st_mode) && is_terminal(info.st_rdev)
                  ? format_text("tty[{:x}:{:x}]", info.st_rdev, info.st_dev)
                  : format_text("file[{:x}:{:x}]", mount, info.st_ino);
  if (std::ranges::find(look.seen.externals, name) == look.seen.externals.end()) look.seen.externals.push_back(name);
  return name;
}

bool is_stream_name(std::string_view name) {
  return name.empty() || name.starts_with("pipe:[") || name.starts_with("file[") || name.starts_with("tty[");
}

// What the mount at `place` must not allow, in the terms of statfs.
Status check_closed(const UniqueFd& place, std::uint64_t attributes) {
  struct Row {
    std::uint64_t attribute;
    unsigned long flag;
    const char* name;
  };
  constexpr std::array kRows{Row{MOUNT_ATTR_RDONLY, ST_RDONLY, "ro"}, Row{MOUNT_ATTR_NOSUID, ST_NOSUID, "nosuid"},
                             Row{MOUNT_ATTR_NODEV, ST_NODEV, "nodev"}, Row{MOUNT_ATTR_NOEXEC, ST_NOEXEC, "noexec"}};
  const auto info = TRY(sys::fstatfs(place.get()));
  for (const auto& row : kRows)
    if ((attributes & row.attribute) != 0 && (static_cast<unsigned long>(info.f_flags) & row.flag) == 0)
      return Error{Kind::internal, format_text("it is not {} any more", row.name)};
  return ok();
}

Status check_hierarchies(const RootDir& root, const rootfs::RootfsPlan& plan, const Outside& outside) {
  const auto op = std::ranges::find_if(plan.mounts, is_cgroup_mount);
  if (outside.hierarchies.empty() || op == plan.mounts.end()) return ok();
  for (const auto& name : outside.hierarchies) {
    const auto place = TRY(root.open_path(name.empty() ? op->to : op->to + "/" + name));
    TRY(check_closed(place, (op->attributes_set | op->recursive_set) & MOUNT_ATTR_RDONLY));
  }
  return ok();
}

Status check_mount(const RootDir& root, const rootfs::MountOp& op, const UniqueFd& source) {
  const auto place = TRY(root.open_path(op.to));
  const auto here = TRY(sys::fstat(place.get()));
  const auto wanted = TRY(sys::fstat(source.get()));
  if (here.st_dev != wanted.st_dev || here.st_ino != wanted.st_ino)
    return Error{Kind::internal, "something else is mounted there"};
  return check_closed(place, (op.attributes_set | op.recursive_set) & ~(op.attributes_clear & ~op.recursive_set));
}

Status check_mask(const RootDir& root, const std::string& path, bool directory) {
  const auto place = TRY(root.open_path(path));
  const auto info = TRY(sys::fstat(place.get()));
  const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  if (!directory && null) return ok();
  if (directory && S_ISDIR(info.st_mode)) return check_closed(place, MOUNT_ATTR_RDONLY);
  return Error{Kind::internal, "it is not masked"};
}

bool is_page_file(std::string_view name) { return name.starts_with("pages-") && name.find('/') == std::string_view::npos; }

}  // namespace

Status find_pages(const UniqueFd& images, Outside& outside) {
  for (const auto& entry : TRY(sys::list_dir(images.get()))) {
    if (!is_page_file(entry.name)) continue;
    outside.page_files.push_back(entry.name);
    outside.page_bytes.push_back(static_cast<std::uint64_t>(TRY(sys::fstatat(images.get(), entry.name, AT_SYMLINK_NOFOLLOW)).st_size));
  }
  return ok();
}

Status check_pages(const UniqueFd& images, const Outside& outside) {
  for (std::size_t i = 0; i < outside.page_files.size(); ++i) {
    const auto info = TRY(sys::fstatat(images.get(), outside.page_files[i], AT_SYMLINK_NOFOLLOW));
    if (static_cast<std::uint64_t>(info.st_size) < outside.page_bytes[i])
      return Error{Kind::invalid, format_text("{} is cut off: {} of {} bytes", quote(outside.page_files[i]), info.st_size, outside.page_bytes[i])}
          .hint("copy the image again");
  }
  return ok();
}

std::string mount_key(std::size_t index) { return format_text("husk-mount-{}", index); }
std::string mask_key(std::size_t index) { return format_text("husk-mask-{}", index); }
std::string device_key(std::size_t index) { return format_text("husk-device-{}", index); }
std::string hierarchy_key(std::size_t index) { return format_text("husk-cgroup-{}", index); }

bool is_cgroup_mount(const rootfs::MountOp& op) {
  return op.act == Act::cgroup || (op.act == Act::fresh && op.type == "cgroup2");
}

std::string write_outside(const Outside& outside) {
  auto json = Json::object();
  json.set("version", 1).set("mounts", numbers(outside.mounts)).set("masks", numbers(outside.masks));
  json.set("destinations", Json{outside.destinations});
  json.set("maskedDirectories", numbers(outside.masked_directories)).set("devices", numbers(outside.devices));
  json.set("hierarchies", Json{outside.hierarchies});
  json.set("pageFiles", Json{outside.page_files}).set("pageBytes", numbers(outside.page_bytes));
  json.set("label", outside.label);
  json.set("stdio", Json{std::vector<std::string>(outside.stdio.begin(), outside.stdio.end())});
  return json.dump() + "\n";
}

bool find_sources(Outside& outside, const rootfs::RootfsPlan& plan) {
  outside.sources.clear();
  for (const auto& destination : outside.destinations) {
    // Twice, and one of two mounts would stand where nobody looks.
    if (std::ranges::count(outside.destinations, destination) != 1) return false;
    // The last one is on top.
    const auto found = std::find_if(plan.mounts.rbegin(), plan.mounts.rend(), [&](const auto& op) {
      return op.act == rootfs::Act::bind && op.to == destination;
    });
    if (found == plan.mounts.rend()) return false;
    outside.sources.push_back(static_cast<std::size_t>(plan.mounts.rend() - found) - 1);
  }
  return true;
}

Result<Outside> parse_outside(std::string_view text) {
  const auto json = TRY(oci::parse_json(text));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  Outside outside{.mounts = TRY(numbers_in(reader, "mounts"))};
  outside.destinations = TRY(reader.find_strings("destinations"));
  if (outside.destinations.size() != outside.mounts.size())
    return Error{Kind::invalid, "\"/destinations\": must be as many as \"/mounts\""};
  outside.masks = TRY(numbers_in(reader, "masks"));
  outside.masked_directories = TRY(numbers_in(reader, "maskedDirectories"));
  outside.devices = TRY(numbers_in(reader, "devices"));
  outside.hierarchies = TRY(reader.find_strings("hierarchies"));
  outside.page_files = TRY(reader.find_strings("pageFiles"));
  if (!outside.page_files.empty()) outside.page_bytes = TRY(numbers_in(reader, "pageBytes", INT64_MAX));
  if (outside.page_files.size() != outside.page_bytes.size() || !std::ranges::all_of(outside.page_files, is_page_file))
    return Error{Kind::invalid, "\"/pageFiles\": must be files of pages, as many as \"/pageBytes\""};
  outside.label = TRY(reader.find_string("label")).value_or("");
  const auto stdio = TRY(reader.find_strings("stdio"));
  if (stdio.size() != outside.stdio.size() || !std::ranges::all_of(stdio, is_stream_name))
    return Error{Kind::invalid, "\"/stdio\": must be three names of streams"};
  std::ranges::copy(stdio, outside.stdio.begin());
  return outside;
}

Result<Seen> look_outside(const rootfs::RootfsPlan& plan, pid_t init) {
  auto root = TRY(open_root_of(init));
  auto table = TRY(read_mount_table(init));
  Look look{std::move(root), std::move(table)};
  TRY(look_at_mounts(look, plan));
  TRY(look_at_masks(look, plan, init));
  TRY(look_at_devices(look, plan));
  for (int fd = 0; fd < 3; ++fd) look.seen.outside.stdio.at(static_cast<std::size_t>(fd)) = TRY(name_stream(look, init, fd));
  return std::move(look.seen);
}

Status check_outside(const rootfs::RootfsPlan& plan, const Outside& outside, const rootfs::HostHandles& handles, pid_t init) {
  const auto root = TRY(open_root_of(init));
  for (const auto index : outside.sources) {
    const auto& op = plan.mounts[index];
    auto good = check_mount(root, op, handles.mount_sources[index]);
    if (!good.has_value()) return std::move(good).during(format_text("{}: {} after the restore", quote(op.pointer), quote(op.to)));
  }
  for (const auto* list : {&outside.masks, &outside.masked_directories}) {
    for (const auto index : *list) {
      const auto& path = plan.masked_paths[index];
      auto good = check_mask(root, path, list == &outside.masked_directories);
      if (!good.has_value()) return std::move(good).during(format_text("masked path {} after the restore", quote(path)));
    }
  }
  TRY(check_hierarchies(root, plan, outside).during("cgroup mounts after the restore"));
  if (!plan.readonly_root) return ok();
  const auto top = TRY(root.open_path("/"));
  return check_closed(top, MOUNT_ATTR_RDONLY).during("the rootfs after the restore");
}

Status label_restored_mounts(const rootfs::RootfsPlan& plan, pid_t init) {
  const auto root = TRY(open_root_of(init));
  for (const auto& op : plan.mounts) {
    if (op.act != Act::fresh || op.label.empty() || !rootfs::is_labelled_by_attribute(op)) continue;
    const auto place = TRY(root.find_path(op.to));
    if (!place.has_value() || TRY(sys::fstatfs(place->get())).f_type != kQueueMagic) continue;  // the container has unmounted it
    TRY(rootfs::label_root(*place, op.label));
  }
  return ok();
}

}  // namespace husk::runtime
